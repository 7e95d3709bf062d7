"""Complete a text with the files of this folder: `python example.py "good morni"`; three lines, best first.

Needs `pip install onnxruntime tokenizers numpy better-profanity==0.7.0`.
"""

import sys
from pathlib import Path

from src.deploy.device import DeviceLM


def main() -> None:
    try:
        completer = DeviceLM(Path(__file__).parent)
        [suggestions] = completer.complete([" ".join(sys.argv[1:])], n=3, half_typed=True)
    except ValueError as error:
        sys.exit(str(error))
    for suggestion in suggestions:
        print(f"{suggestion.next_word_probability:.0%} {suggestion.text}")


if __name__ == "__main__":
    main()
