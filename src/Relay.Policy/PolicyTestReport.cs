namespace Relay.Policy;

/// <summary>Outcome of a policy test.</summary>
/// <param name="Passed">The condition is met and the policy permits something.</param>
/// <param name="AllowedActions">Permission keys the policy gives, e.g. "ssh.shell", "database"; listed whether or not the condition is met.</param>
/// <param name="Clauses">Every clause of the condition, met or not, in document order.</param>
public sealed record PolicyTestReport(bool Passed, IReadOnlyList<string> AllowedActions, IReadOnlyList<PolicyReason> Clauses);
