"""The syntax of the language as data: `erase.lark`, the words for its errors, and the tables made from them."""
