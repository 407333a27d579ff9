"""The names that the world `basics` knows: kept apart, because its own module imports `openenv`."""

VALUES = (
    "big negative bytes datetime date delta decimal uuid enum tuple set nested keys nan inf tiny long text deep "
    "complex colours"
).split()
REWARDS = "int float half bool nan inf big none".split()
FAILURES = "value key empty assert validation timeout http not_implemented".split()
