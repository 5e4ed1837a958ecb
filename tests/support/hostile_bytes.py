"""Replies that are made to break a report, or to run in the browser of its reader."""

MARKER = "pwned"
"""What the scripts below set as a property of `window`, if they run."""
SCRIPT = f"<script>window.{MARKER} = 1</script>"
TEXTS = {
    "script": SCRIPT,
    "closing tags": f"</code></pre></details></style></script></title><!-- {SCRIPT} -->",
    "attributes": f"\"><img src=x onerror='window.{MARKER} = 1'><svg onload=window.{MARKER}=1>",
    "link": f"<a href='javascript:window.{MARKER}=1'>C-001</a> <meta http-equiv=refresh content='0;url=http://192.0.2.1/'>",
    "template syntax": "{{ 7 * 7 }} {% raw %} {# comment #} ${7*7} <%= 7 %> ]]> &amp; &#60;",
    "control characters": "".join(map(chr, range(32))) + "\x7f\x80\x85\x9f",
    "invisible characters": "\ufeff\u200b\u202e\u2028\u2029\u00a0\ufffe\uffff\U000e0001\U0010ffff",
    "lone surrogates": "\ud800 \udfff \udc80",
    "backticks": "`one` `two",
    "long": "x" * 1_048_576,
}
"""Texts by name. Those with lone surrogates cannot be encoded as UTF-8."""
BYTES = {name: text.encode("utf-8", "surrogatepass") for name, text in TEXTS.items()} | {
    "not UTF-8": bytes(range(256)) * 8,
    "NUL, 1 MiB": bytes(1_048_576),
    "markup, 1 MiB": SCRIPT.encode() * (1_048_576 // len(SCRIPT)),
    "cut in a character": b"HTTP/1.1 200 OK\r\n\r\n" + "é".encode() * 5_000,
    "empty": b"",
}
"""Replies by name."""
