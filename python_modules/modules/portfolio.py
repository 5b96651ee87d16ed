"""Prices a portfolio: its total in one currency, and the value and weight of each position.

State:
    base       the currency of the result, such as "EUR"
    positions  [{"symbol": "ACME", "quantity": 10, "price": 12.5, "currency": "USD"}, ...];
               the currency is optional and defaults to the base; a negative quantity is a short position
    rates      optional, {"USD": 0.92}: the value of one unit of a currency in the base currency
A quantity, price or rate is a number, or text that contains one ("12.50").

Result:
    {"base": "EUR", "total": "115.00", "biggest": "ACME",
     "positions": [{"symbol": "ACME", "value": "115.00", "weight": 1.0}, ...]}
Money is text, because a float cannot represent every amount exactly. All sums are exact. Each amount is
rounded once, at the end, to cents (half to even), so the rounded values may differ from the total by a
cent. "weight" is value / total to six decimals, or null if the total is zero. "biggest" is the symbol
with the largest absolute value, or null if there are no positions.
"""

import reprlib
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, localcontext
from typing import Any, Optional


class Module:
    def __init__(self, state: dict[str, Any]) -> None:
        _check_keys(state, "state", required=("base", "positions"), optional=("rates",))
        self.base = _text(state["base"], "state.base")
        self.rates = _rates(state.get("rates", {}), self.base)
        if not isinstance(state["positions"], list):
            raise ValueError("state.positions must be a list")
        self.positions = [
            self._position(position, f"state.positions[{index}]")
            for index, position in enumerate(state["positions"])
        ]

    def _position(self, position: Any, where: str) -> tuple[str, tuple[Decimal, ...]]:
        _check_keys(position, where, ("symbol", "quantity", "price"), optional=("currency",))
        currency = _text(position.get("currency", self.base), f"{where}.currency")
        if currency not in self.rates:
            raise ValueError(f"{where}.currency: state.rates has no rate for {currency!r}")
        quantity = _number(position["quantity"], f"{where}.quantity")
        price = _number(position["price"], f"{where}.price")
        return _text(position["symbol"], f"{where}.symbol"), (quantity, price, self.rates[currency])

    def run(self) -> dict[str, Any]:
        # 400 digits are enough for every product and sum of numbers that _number() accepts, so only _cents() rounds.
        with localcontext(Context(prec=400, rounding=ROUND_HALF_EVEN)):
            priced = [(symbol, q * price * rate) for symbol, (q, price, rate) in self.positions]
            total = sum((value for _, value in priced), Decimal(0))
            biggest = max(priced, key=lambda each: abs(each[1]), default=None)
            return {
                "base": self.base,
                "total": _cents(total),
                "biggest": biggest[0] if biggest else None,
                "positions": [
                    {"symbol": symbol, "value": _cents(value), "weight": _weight(value, total)}
                    for symbol, value in priced
                ],
            }


def _cents(amount: Decimal) -> str:
    return str(amount.quantize(Decimal("0.01")) + 0)  # + 0 turns -0.00 into 0.00


def _weight(value: Decimal, total: Decimal) -> Optional[float]:
    return round(float(value / total), 6) + 0.0 if total else None


def _rates(rates: Any, base: str) -> dict[str, Decimal]:
    if not isinstance(rates, dict):
        raise ValueError("state.rates must be an object of currencies and rates")
    numbers = {name: _number(rate, f"state.rates.{name}") for name, rate in rates.items()}
    for name, rate in numbers.items():
        if rate <= 0:
            raise ValueError(f"state.rates.{name} must be more than 0")
    if numbers.setdefault(base, Decimal(1)) != 1:
        raise ValueError(f"state.rates.{base} must be 1: it is the base currency")
    return numbers


def _number(value: Any, where: str) -> Decimal:
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise InvalidOperation
        # Converted from its text, 0.1 is one tenth and not the nearest binary fraction.
        number = Decimal(value if isinstance(value, int) else str(value))
    except InvalidOperation:
        raise ValueError(f"{where} must be a number, not {reprlib.repr(value)}") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -60 or number.adjusted() >= 30:
        raise ValueError(f"{where} must be finite, below 1e30 and have at most 60 decimals")
    return number


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where} must be text, not {reprlib.repr(value)}")
    return value


def _check_keys(
    value: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be an object, not {reprlib.repr(value)}")
    for key in required:
        if key not in value:
            raise ValueError(f"{where}.{key} is missing")
    for key in value:
        # A misspelt "currency" would silently give a wrong price.
        if key not in required + optional:
            raise ValueError(f"{where}.{key} is not a known key")


def create(state: dict[str, Any]) -> Module:
    return Module(state)
