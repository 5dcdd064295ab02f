"""The viewer from a program: a small set of reviews is written, served, and asked over the official API.

python -m examples.view_dataset           # asks a few questions and ends
python -m examples.view_dataset --stay    # leaves the page open until Ctrl+C
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import uvicorn

from lamina.viewer.app import create_app

REVIEWS = (
    ("A film I will remember for years.", 5, "en"),
    ("Two hours that I will not get back.", 1, "en"),
    ("배우들의 연기가 훌륭했다.", 4, "ko"),
    ("Un film tout à fait charmant.", 4, "fr"),
)


def write(folder: Path) -> None:
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "stars", "language"])
        writer.writerows(REVIEWS)


def ask(address: str, path: str, **params: str) -> dict:
    with urllib.request.urlopen(f"{address}{path}?{urllib.parse.urlencode(params)}", timeout=30) as answer:
        return json.load(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stay", action="store_true", help="keep serving the page")
    stay = parser.parse_args().stay
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        config = uvicorn.Config(create_app(folder), host="127.0.0.1", port=0, log_level="warning")
        socket = config.bind_socket()
        socket.listen()  # whoever asks before the server has started is kept waiting
        address = f"http://127.0.0.1:{socket.getsockname()[1]}"
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
        thread.start()
        try:
            print("splits     ", [each["split"] for each in ask(address, "/splits")["splits"]])
            liked = ask(address, "/filter", where='"stars">=4', orderby='"text"')
            print("four stars ", [item["row"]["text"] for item in liked["rows"]])
            print("search     ", [item["row"]["text"] for item in ask(address, "/search", query="films")["rows"]])
            print("the page is at", address)
            while stay:
                time.sleep(1)
        except KeyboardInterrupt:
            pass
        finally:
            server.should_exit = True
            thread.join()
            socket.close()


if __name__ == "__main__":
    main()
