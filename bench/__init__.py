"""Measurements on the real stack, run by hand. They print figures; no test asserts a time.

`make bench` runs the two that belong to a release:

- `python -m bench`: what one settlement costs, as ratios to a floor that is measured in the same run. It writes
  docs/performance.json and docs/images/performance.svg, or compares itself with an earlier file (`--compare`).
- `python -m bench.storm`: how exactly the 3 seconds are kept, and what healthy orders wait, while a company's adjusts
  hang at half of the saturation rate, and then 1,000 at once.

The parts of both: `systems` starts what is compared, `floor` and `broker` are processes of their own, `load` posts
orders, `costs` reads CPU, memory and transactions, `rounds` measures one system once, `figures` computes medians and
ratios, `report` and `picture` show them. Another system is one more line in `systems.SYSTEMS`.

The others answer one question each: `hanging`, `overload`, `breaker`, `quota`.
"""
