"""Run the broker: `python -m examples.broker --port 8200 --database sqlite:///broker.sqlite`."""

import argparse

import uvicorn

from .app import DATABASE, create_app

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--port", type=int, default=8200)
parser.add_argument("--database", default=DATABASE, help="sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME")
given = parser.parse_args()
# A request that is sent just as an idle connection is closed gets lost. So close later than the platform does.
uvicorn.run(create_app(given.database), port=given.port, timeout_keep_alive=75)
