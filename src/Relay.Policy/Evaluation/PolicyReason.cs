namespace Relay.Policy;

/// <summary>One clause of one policy, judged.</summary>
/// <param name="PolicyId">The policy.</param>
/// <param name="PolicyName">Its name.</param>
/// <param name="Clause">JSON path of the clause in the policy's document, e.g. <c>$.condition.where.allowed_ip</c>.</param>
/// <param name="Code"><see cref="ReasonCode.Allowed"/> when the clause is met, else why not.</param>
/// <param name="Fact">What the request had: the requester's own facts, safe to show to the requester.</param>
/// <param name="Needed">What the clause asks for, in full. For administrators only: it may name other users.</param>
/// <param name="Change">The smallest change to this clause that would meet it, from the requester's own facts only.</param>
public sealed record PolicyReason(Guid PolicyId, string PolicyName, string Clause, ReasonCode Code, string Fact, string Needed, string Change);
