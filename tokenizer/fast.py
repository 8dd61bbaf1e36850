"""placeholder"""

from __future__ import annotations

from typing import Any


class FastBpe:
    @classmethod
    def of(cls, proto: Any, reference: Any, dtype: Any) -> FastBpe | None:
        return None

    def encode(self, array: Any) -> tuple[Any, Any]:
        raise NotImplementedError
