"""How many of a fuzzer's questions the oracle answers: what it refuses is compared in little."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST = 1 / 3  # may be refused


@dataclass
class Tally:
    """Questions asked, and those that were refused."""

    asked: int = 0
    refused: list[str] = field(default_factory=list)

    def add(self, question: str, refused: bool) -> None:
        """Count a question."""
        self.asked += 1
        if refused:
            self.refused.append(question)

    def check(self) -> None:
        """Fail where too many were refused."""
        few = "\n".join(self.refused[:3])
        assert len(self.refused) <= MOST * self.asked, (
            f"DuckDB refuses {len(self.refused)} of {self.asked} questions, such as\n{few}"
        )
