"""The syntax of the language as data: `erase.lark` and the parse table made from it."""
