"""Whether a role does its work; asked by the ops server, told by the role."""


class Health:
    """Ready once the role is a working member of its groups, and not while a neighbour is away."""

    def __init__(self) -> None:
        self._problems: set[str] = {"starting"}

    def is_ready(self) -> bool:
        """Tell whether the role can do its work now."""
        return not self._problems

    def note(self, part: str, *, works: bool) -> None:
        """Note that one part of the role works, or does not; `starting` is the part that ends with the start."""
        if works:
            self._problems.discard(part)
        else:
            self._problems.add(part)
