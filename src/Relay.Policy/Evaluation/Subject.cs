namespace Relay.Policy;

/// <summary>Who asks: a user or a service account, as the directory knows them now. Immutable.</summary>
/// <param name="Id">The user's or service account's id; copied into the grant.</param>
/// <param name="Email">The user's e-mail address; compared without regard to case. Empty for a service account, and then no <c>who.email</c> or <c>who.domain</c> matches.</param>
/// <param name="Groups">Ids (Guid "D" form) and display names of the groups the subject is in now; compared without regard to case. Empty: in none.</param>
/// <param name="ServiceAccount">The service account's name; null for a user.</param>
public sealed record Subject(Guid Id, string Email, IReadOnlySet<string> Groups, string? ServiceAccount);
