"""Open a page on this computer on which one drops images and sees what a model says of them.

The page answers this computer alone, loads nothing from elsewhere, and keeps nothing on disk. Ctrl-C ends it. This
needs: pip install 'leuko[app]'
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `leuko app` takes."""
    parser.add_argument("--model", help="an arm, such as plus, or a model file (default: the setting model)")
    parser.add_argument("--port", type=int, default=8378, help="of the page, http://127.0.0.1:PORT (default: 8378)")


def run(options: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        LeukoError: if there is no model, the port is taken, or the packages for it are missing.
    """
    import socket

    from leuko.core.errors import LeukoError
    from leuko.prediction.choosing import choose_model
    from leuko.prediction.model import load_model

    try:
        import uvicorn

        from leuko.app.server import create_app
    except ImportError as error:
        raise LeukoError(f"{error.name} is not installed, which the page needs: pip install 'leuko[app]'") from error
    path = choose_model(options.model)
    model = load_model(path)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", options.port))
        except (OSError, OverflowError) as error:
            raise LeukoError(f"port {options.port} cannot be used ({error}); choose another one by --port") from error
        port = listening.getsockname()[1]
        print(f"The page: http://127.0.0.1:{port}    (model {path}; Ctrl-C ends it)", flush=True)
        app = create_app(model, path.name, port)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False)).run(sockets=[listening])
