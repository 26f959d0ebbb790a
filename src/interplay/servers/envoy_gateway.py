"""An Envoy as API gateway: one door, behind it a server for each path; who comes in, and how often.

The filters stand in a row: first the token is checked (401), then the rate (429), then the path decides
(404 if nobody has it). What is behind it gets the user's name in the header x-user, and the token too, to
hand it on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..arguments import number, refuse, whole
from . import envoy_config
from .envoy import Envoy, free_ports
from .envoy_config import Part
from .process import Server
from .tokens import Issuer

USER = "x-user"
JWT = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
MOST = 1_000_000  # requests per second: no limit


class Gateway(Envoy):
    """A running gateway."""

    def answers(self) -> dict[str, int]:
        """How it has answered since its start or last reset: by kind of status, and why it said no itself."""
        names = {
            "2xx": r"^http\.gateway\.downstream_rq_2xx$",
            "4xx": r"^http\.gateway\.downstream_rq_4xx$",
            "5xx": r"^http\.gateway\.downstream_rq_5xx$",
            "no_token": r"^http\.gateway\.jwt_authn\.denied$",  # 401
            "rate_limited": r"^limit\.http_local_rate_limit\.rate_limited$",  # 429
            "no_route": r"^http\.gateway\.no_route$",  # 404
            "too_late": r"^cluster\.[^.]+\.upstream_rq_timeout$",  # 504
        }
        return {name: sum(self.stats(pattern).values()) for name, pattern in names.items()}


def start(
    routes: Mapping[str, Server | tuple[Server, str]],
    *,
    timeout: float = 5.0,
    issuer: Issuer | None = None,
    public: Collection[str] = (),
    rate: int | None = None,
    burst: int | None = None,
    per_user: int | None = None,
) -> Gateway:
    """Start a gateway with these routes: {"/page/": server, "/mobile/": (server, "/page/")}.

    A path that begins so goes to that server; with a second path, its beginning is replaced by it. What takes
    longer than `timeout` seconds is answered with 504 (0: no limit).

    With `issuer` a path needs a token of that issuer, unless it begins with one of `public`. `rate` and
    `burst` limit the requests per second of all together; `per_user` those of each user (whole numbers).
    Raises ServerError if Envoy cannot start, or cannot run on this system.
    """
    if not routes:
        refuse("routes", routes, "at least one path with its server")
    if per_user is not None and issuer is None:
        refuse("per_user", per_user, "left out without issuer: users are known by their tokens")
    number("timeout", timeout, least=0)
    clusters: dict[int, Part] = {}
    rules = []
    for prefix in sorted(routes, key=len, reverse=True):  # the longest that fits
        target = routes[prefix]
        server, rewrite = target if isinstance(target, tuple) else (target, prefix)
        clusters[server.port] = envoy_config.cluster(f"port-{server.port}", [server.port])
        rules.append(envoy_config.route(f"port-{server.port}", prefix, timeout, prefix_rewrite=rewrite))
    filters = [_stranger()]
    if issuer:
        filters.append(_tokens(issuer, public))
    if rate is not None or per_user is not None:
        filters.append(_limits(rate, burst, per_user))
    (port,) = free_ports(1)
    entry = envoy_config.http("gateway", rules, filters)
    gateway = Gateway(
        [envoy_config.listener("gateway", port, entry)], list(clusters.values()), name="gateway"
    )
    gateway.start()
    return gateway


def _stranger() -> Part:
    """What a client says about who it is counts for nothing: only the token's claim becomes the header."""
    kind = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
    forget = {"request_mutations": [{"remove": USER}]}
    return envoy_config.extension("envoy.filters.http.header_mutation", kind, mutations=forget)


def _tokens(issuer: Issuer, public: Collection[str]) -> Part:
    provider = {
        "issuer": issuer.name,
        "local_jwks": {"inline_string": issuer.jwks()},
        "forward": True,  # the token goes on to the services
        "claim_to_headers": [{"header_name": USER, "claim_name": "sub"}],
        "clock_skew_seconds": 1,
    }
    rules: list[Part] = [{"match": {"prefix": prefix}} for prefix in public]
    rules.append({"match": {"prefix": "/"}, "requires": {"provider_name": "shop"}})
    return envoy_config.extension(
        "envoy.filters.http.jwt_authn", JWT, providers={"shop": provider}, rules=rules
    )


def _limits(rate: int | None, burst: int | None, per_user: int | None) -> Part:
    whole("rate", MOST if rate is None else rate, least=1)
    size = rate if burst is None else whole("burst", burst, least=1)
    part = envoy_config.rate_limit(rate or MOST, size or MOST)
    if per_user is not None:
        whole("per_user", per_user, least=1)
        by_user = {"actions": [{"request_headers": {"header_name": USER, "descriptor_key": "user"}}]}
        bucket = {"max_tokens": per_user, "tokens_per_fill": per_user, "fill_interval": "1s"}
        part["typed_config"].update(
            rate_limits=[by_user],
            descriptors=[{"entries": [{"key": "user"}], "token_bucket": bucket}],  # a bucket for each value
            max_dynamic_descriptors=1000,
        )
    return part
