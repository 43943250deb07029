"""What operating systems, clouds and network drives leave beside files, and what they put in place of them."""

from __future__ import annotations

import re

# fmt: off
LEFTOVERS = re.compile(
    r"""
    \..*                                            # hidden files and folders: .DS_Store, ._x, .Trash-1000, .@__thumb
    | (eh)?thumbs(_vista)?\.db(:encryptable)? | desktop\.ini | icon[\r\ue00d\uf00d]? | zbthumbnail\.info | picasa\.ini
    | .*zone\.identifier(:\$data)?                  # what Windows writes beside a download
    | .*:com\.(apple|dropbox)\..* | .*\ufe55.*zone\.identifier
    | __macosx | \$recycle\.bin | recycle[rd] | system\ volume\ information | found\.\d{3}
    | @eadir | @tmp | \#recycle | \#snapshot | @__thumb | @recycle | synophoto_.* | synofile_.*
    | .*@syno(resource|eastream)
    | lost\+found | network\ trash\ folder | temporary\ items | thevolumesettingsfolder | sync\.ffs_db | __pycache__
    | ~\$.* | .*~ | \#.*\# | .*\.sw[op]             # locks and backups of editors
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""Names that are of no meaning."""

PLACEHOLDERS = re.compile(
    r"""
    (?!\._)(\.(?P<icloud>.+)\.icloud
    | (?P<name>.+\.(jpe?g|png|bmp|tiff?|webp|gif))
      \.(icloud|owncloud|nextcloud|cloudf?|placeholder|dvc|lnk|url|webloc
        |part|partial|crdownload|download|opdownload|filepart|!ut|!qb|td|tmp|aria2))
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""Names of what stands in a file's place while that is elsewhere."""
# fmt: on


def is_leftover(name: str) -> bool:
    """Whether a file or folder of this name is there by no one's wish, and can be passed over.

    Args:
        name: of a file or folder, without those above it.
    """
    return bool(LEFTOVERS.fullmatch(name)) and not stands_for(name)


def stands_for(name: str) -> str:
    """The file in whose place one of this name lies until it is fetched; empty if it is no placeholder.

    Args:
        name: of a file, without the folders above it.
    """
    found = PLACEHOLDERS.fullmatch(name)
    return (found["icloud"] or found["name"]) if found else ""
