"""Write the stored numbers of golden tests: ``python -m tests.golden.write [PART…]``; of all parts without a name."""

from __future__ import annotations

import argparse
import sys

from tests.golden.golden import OtherNumbers, parts, write


def main(words: list[str] | None = None) -> int:
    """Write the numbers; 1 when a part gives other numbers although its version was not raised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(sorted(parts()))}")
    names = parser.parse_args(words).parts or sorted(parts())
    unknown = [name for name in names if name not in parts()]
    if unknown:
        parser.error(f"part '{unknown[0]}' is unknown: use any of {', '.join(sorted(parts()))}")
    failed = 0
    for name in names:
        try:
            write(parts()[name])
        except OtherNumbers as error:
            print(f"not written: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
