namespace Relay.Policy;

/// <summary>Outcome of a policy test.</summary>
/// <param name="Passed">Every judged clause is met, and the policy permits something.</param>
/// <param name="AllowedActions">Permission keys the policy gives to whom its condition admits, e.g. "ssh.shell", "database"; listed whether or not the test passed.</param>
/// <param name="Clauses">Every judged clause, met or not: permissions first, then the condition in document order.</param>
public sealed record PolicyTestReport(bool Passed, IReadOnlyList<string> AllowedActions, IReadOnlyList<PolicyReason> Clauses);
