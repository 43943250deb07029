"""What tests of reports share."""

import json
import re
from html.parser import HTMLParser

import pandas as pd


class Page(HTMLParser):
    """What a page has: tags, what they point at, and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.sources, self.links, self.ids, self.handlers = set(), [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "action", "xlink:href"):
                self.sources.append(value)
            if name == "href":
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
            if name.startswith("on"):
                self.handlers.append(name)


def assert_self_contained(text):
    page = Page(text)
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not page.handlers
    assert page.sources
    assert all(source.startswith("data:image/") for source in page.sources)
    assert all(link[0] == "#" and link[1:] in page.ids for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    # Drawings may name the language that they are written in, and fetch nothing.
    drawings = "".join(source for source in page.sources if source.startswith("data:image/svg"))
    assert not re.search(r"%3C(script|image|foreignObject)|url%28(?!%23)", drawings)


def predictions_of(probabilities, labels, names) -> pd.DataFrame:
    predicted = [names[number] for number in probabilities.argmax(axis=1)]
    actual = [names[label] for label in labels]
    return pd.DataFrame(probabilities, columns=names).assign(
        path=[f"{number}.png" for number in range(len(labels))], group="", actual=actual, predicted=predicted
    )


def write(path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pd.DataFrame):
        content.to_csv(path, index=False)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
