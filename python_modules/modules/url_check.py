"""Checks that web pages respond: status, size and time of one or more URLs.

State:
    urls       ["https://example.org/", ...], http and https only; checked one after the other
    timeout    optional, seconds for each wait on the network, 5 by default; also limits the time for
               a body that arrives slowly
    max_bytes  optional, the number of bytes to read of each body, 1,000,000 by default; a longer body
               is not a failure

Result:
    {"ok": true, "checks": [{"url": "https://example.org/", "ok": true, "status": 200,
                             "seconds": 0.21, "bytes": 1256, "error": null}, ...]}
Redirects are followed. A check is ok if the last response has a 2xx status and its body arrives. The
result is ok if every check is. "status" is null if there was no response. Proxies from the environment
(http_proxy, no_proxy, ...) are used, as urllib does by default.
"""

import http.client
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit


class Module:
    def __init__(self, state: dict[str, Any]) -> None:
        for key in state:
            if key not in ("urls", "timeout", "max_bytes"):
                raise ValueError(f"state.{key} is not a known key")
        self.urls: Any = state.get("urls")
        if not isinstance(self.urls, list) or not self.urls:
            raise ValueError("state.urls must be a list of at least one URL")
        for index, url in enumerate(self.urls):
            if not _is_web_address(url):
                raise ValueError(f"state.urls[{index}] must be an http or https URL, not {url!r}")
        self.timeout = state.get("timeout", 5)
        if type(self.timeout) not in (int, float) or not 0 < self.timeout <= 3600:
            raise ValueError("state.timeout must be seconds, more than 0 and at most 3600")
        self.max_bytes = state.get("max_bytes", 1_000_000)
        if type(self.max_bytes) is not int or self.max_bytes < 0:
            raise ValueError("state.max_bytes must be a whole number, 0 or more")

    def run(self) -> dict[str, Any]:
        checks = [self._check(url) for url in self.urls]
        return {"ok": all(check["ok"] for check in checks), "checks": checks}

    def _check(self, url: str) -> dict[str, Any]:
        check: dict[str, Any] = {"url": url, "ok": False, "status": None}
        check.update(seconds=0.0, bytes=0, error=None)
        start = time.monotonic()
        try:
            with _open(url, self.timeout) as answer:
                check["status"] = answer.status
                if not 200 <= answer.status < 300:
                    check["error"] = " ".join(f"{answer.status} {answer.reason}".split())
                self._read(answer, check, start + self.timeout)
            check["ok"] = check["error"] is None
        except (OSError, http.client.HTTPException, ValueError) as error:
            check["error"] = _reason(error)
        check["seconds"] = round(time.monotonic() - start, 3)
        return check

    def _read(self, answer: Any, check: dict[str, Any], deadline: float) -> None:
        length = answer.length  # None if the server does not send it
        wanted = self.max_bytes if length is None else min(self.max_bytes, length)
        # read1 returns what has arrived, so a slow body cannot exceed the deadline.
        while check["bytes"] < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError("timed out")
            part = answer.read1(min(65536, wanted - check["bytes"]))
            if not part:
                break
            check["bytes"] += len(part)
        if length is not None and check["bytes"] < wanted:
            raise ValueError(f"the body ended after {check['bytes']} of {length} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    # urllib follows a 308 only since Python 3.11. For a GET it is the same as a 307.
    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302

    def redirect_request(  # urllib would also follow a redirect to ftp
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if not _is_web_address(newurl):
            msg = f"redirect to {newurl}, which is not http or https"
            raise urllib.error.HTTPError(newurl, code, msg, headers, fp)
        code = 307 if code == 308 else code
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, timeout: float) -> Any:
    try:
        return urllib.request.build_opener(_Redirects()).open(url, timeout=timeout)
    except urllib.error.HTTPError as error:
        return error  # an error response is a response, too, with a status and a body


def _is_web_address(url: Any) -> bool:
    try:
        parts = urlsplit(url)
        return isinstance(url, str) and parts.scheme in ("http", "https") and bool(parts.hostname)
    except (ValueError, AttributeError, TypeError):
        return False


def _reason(error: BaseException) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(getattr(reason, "strerror", None) or reason) or type(error).__name__


def create(state: dict[str, Any]) -> Module:
    return Module(state)
