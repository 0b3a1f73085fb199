using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>Something that must never happen and did.</summary>
/// <param name="Invariant">Name of the check.</param>
/// <param name="At">When, as in the history.</param>
/// <param name="Text">One sentence with the names and times that matter.</param>
/// <param name="Excerpt">The events that show it.</param>
internal sealed record Violation(string Invariant, double At, string Text, IReadOnlyList<HistoryEvent> Excerpt);

/// <summary>What one check did.</summary>
/// <param name="Checked">How many facts it looked at; 0 says that the run could not have shown a violation.</param>
internal sealed record CheckResult(string Invariant, long Checked, IReadOnlyList<Violation> Violations);
