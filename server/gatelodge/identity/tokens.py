"""JWT access tokens: what one must say, and what it says about its bearer. No I/O.

Source: RFC 7519 (claims), RFC 8725 (best practices), RFC 9068 (access tokens).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from ..errors import ErrorCode, ToolError
from .jwks import PublicKey

ALGORITHMS: Mapping[str, tuple[type, str | None]] = {
    "RS256": (RSAKey, None),
    "ES256": (ECKey, "P-256"),
    "EdDSA": (OKPKey, "Ed25519"),
    "Ed25519": (OKPKey, "Ed25519"),
}
"""The algorithms taken, each with the one kind of key it may be checked with. RFC 9864 renames EdDSA to Ed25519."""
LARGEST = 8192
"""Characters of a token."""
FAR = 2**40
"""The year 36812: later times are taken for this one, so that they fit wherever times are kept."""


class _Registry(jws.JWSRegistry):
    """Without the warning that EdDSA has a newer name: the caller has no say in what its issuer writes."""

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(f"Algorithm {name} is not taken")
        return self.algorithms[name]


REGISTRY = _Registry(algorithms=list(ALGORITHMS), strict_check_header=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """Where a token says who its bearer is: names of claims, or paths of them (`realm_access.roles`).

    `fixed_tenant` is for an issuer that serves one tenant alone.
    """

    tenant: str
    user: str
    scopes: Sequence[str]
    fixed_tenant: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """What a checked token says."""

    tenant: UUID
    user: str
    scopes: frozenset[str]
    expires_at: float


def read_header(token: str) -> tuple[str | None, str]:
    """`kid` and algorithm. Raises `unauthorized` for what is no JWT, or one of another algorithm."""
    if len(token) > LARGEST or not token.isascii():
        raise refused(f"A token has at most {LARGEST} ASCII characters.")
    try:
        header = jws.extract_compact(token.encode(), registry=REGISTRY).headers()
    except (JoseError, ValueError, TypeError):  # what joserfc raises for text that is no token
        raise refused("The token is not a well-formed JWT.") from None
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise refused(f"The token's algorithm is not one of {', '.join(ALGORITHMS)}.")
    if "crit" in header:  # RFC 7515, 4.1.11: understand it or refuse the token, and none is understood here
        raise refused("The token's header calls something critical that is not understood here.")
    return kid if isinstance(kid, str) else None, algorithm


def fits(key: PublicKey, algorithm: str) -> bool:
    """Whether the key may check that algorithm; what the key says of itself counts too."""
    kind, curve = ALGORITHMS[algorithm]
    if not isinstance(key, kind) or (curve is not None and getattr(key, "curve_name", None) != curve):
        return False
    meant = key.get("alg")
    return meant is None or meant == algorithm or {meant, algorithm} <= {"EdDSA", "Ed25519"}


def read_claims(token: str, key: PublicKey, algorithm: str, registry: jwt.JWTClaimsRegistry) -> Mapping[str, Any]:
    """The claims, with the signature checked and the registry's demands met. Raises `unauthorized` with the reason."""
    try:
        claims = jwt.decode(token, key, algorithms=[algorithm], registry=REGISTRY).claims
        registry.validate(claims)
    except ExpiredTokenError:
        raise refused("The token has expired.") from None
    except MissingClaimError as error:
        raise refused(f"The token lacks {error.claim}.") from None
    except InvalidClaimError as error:
        raise refused(WRONG_CLAIM.get(error.claim, f"The token's {error.claim} is not valid.")) from None
    except (JoseError, ValueError, TypeError):  # what joserfc raises for a bad signature, header or payload
        raise refused("The token's signature is not valid.") from None
    return claims


WRONG_CLAIM = {
    "iss": "The token is of another issuer.",
    "aud": "The token is for another audience.",
    "nbf": "The token is not valid yet.",
    "iat": "The token was issued in the future.",
}


def bearer(claims: Mapping[str, Any], names: ClaimNames) -> Bearer:
    """Who the claims speak of. Raises `unauthorized` naming the claim that does not do."""
    user = _claim(claims, names.user)
    if not isinstance(user, str) or not 0 < len(user) <= 255 or not user.isprintable():
        raise refused(f"The token's {names.user} does not name a user.")
    return Bearer(
        tenant=names.fixed_tenant or _tenant(claims, names.tenant),
        user=user,
        scopes=frozenset(scope for name in names.scopes for scope in _words(_claim(claims, name))),
        expires_at=float(min(claims["exp"], FAR)),
    )


def refused(message: str) -> ToolError:
    return ToolError(ErrorCode.UNAUTHORIZED, message)


def _tenant(claims: Mapping[str, Any], name: str) -> UUID:
    try:
        return UUID(_claim(claims, name))
    except (ValueError, TypeError, AttributeError):
        raise refused(f"The token's {name} is not the UUID of a tenant.") from None


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its whole name, which may have dots in it, or by a path through objects."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _words(value: Any) -> Sequence[str]:
    """A space-separated string, or a list of strings."""
    if isinstance(value, str):
        return value.split()
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else ()
