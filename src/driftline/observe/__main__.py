"""`python -m driftline.observe > docs/metrics.md`."""

from driftline.observe.metrics import as_markdown

if __name__ == "__main__":
    print(as_markdown())
