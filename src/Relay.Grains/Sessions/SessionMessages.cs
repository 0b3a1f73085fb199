using Orleans;

namespace Relay.Grains.Sessions;

/// <summary>A session as its owner reports it.</summary>
/// <param name="SessionId">The session.</param>
/// <param name="OrganizationId">Whose.</param>
/// <param name="UserId">Who.</param>
/// <param name="UserEmail">Who, in words.</param>
/// <param name="SocketId">What.</param>
/// <param name="SocketName">What, in words.</param>
/// <param name="ConnectorId">Through which connector.</param>
/// <param name="Gateway">Name of the gateway that terminates the user's connection.</param>
/// <param name="Silo">Grid address of the owning silo.</param>
/// <param name="SiloIncarnation">Which start of it.</param>
/// <param name="StartedAt">Since when.</param>
/// <param name="EndsAt">When it must end; null: no limit.</param>
[GenerateSerializer]
[Immutable]
[Alias("relay.session.start")]
public sealed record SessionStart(
    [property: Id(0)] Guid SessionId,
    [property: Id(1)] Guid OrganizationId,
    [property: Id(2)] Guid UserId,
    [property: Id(3)] string UserEmail,
    [property: Id(4)] Guid SocketId,
    [property: Id(5)] string SocketName,
    [property: Id(6)] Guid ConnectorId,
    [property: Id(7)] string Gateway,
    [property: Id(8)] string Silo,
    [property: Id(9)] Guid SiloIncarnation,
    [property: Id(10)] DateTimeOffset StartedAt,
    [property: Id(11)] DateTimeOffset? EndsAt);

/// <summary>Counters of a session.</summary>
/// <param name="Sequence">Grows with every report; a lower one is ignored.</param>
/// <param name="Participants">People in it: 1, more when others watch or join.</param>
/// <param name="OpenStreams">Channels or streams open now.</param>
/// <param name="BytesUp">From the user, in all.</param>
/// <param name="BytesDown">To the user, in all.</param>
[GenerateSerializer]
[Immutable]
[Alias("relay.session.progress")]
public sealed record SessionProgress(
    [property: Id(0)] long Sequence,
    [property: Id(1)] int Participants,
    [property: Id(2)] int OpenStreams,
    [property: Id(3)] long BytesUp,
    [property: Id(4)] long BytesDown);

/// <summary>An order to end a session.</summary>
/// <param name="SessionId">Which.</param>
/// <param name="By">E-mail or name of who ordered it.</param>
/// <param name="Reason">For the user and the record.</param>
[GenerateSerializer]
[Immutable]
[Alias("relay.session.kill")]
public sealed record SessionKill([property: Id(0)] Guid SessionId, [property: Id(1)] string By, [property: Id(2)] string Reason);

/// <summary>What became of an order to end a session.</summary>
[GenerateSerializer]
[Alias("relay.session.kill-outcome")]
public enum SessionKillOutcome
{
    /// <summary>Nobody has reported this session here; the order is kept for a report that may come. The table and its notification still reach the owner.</summary>
    Unknown = 0,

    /// <summary>The owner was told and obeys.</summary>
    Told = 1,

    /// <summary>The session is over already.</summary>
    AlreadyEnded = 2,

    /// <summary>The owner does not answer. The table and its notification still reach it.</summary>
    OwnerUnreachable = 3,
}

/// <summary>How a session ended.</summary>
/// <param name="Outcome">One phrase.</param>
/// <param name="Progress">The last counters; null when there are none.</param>
[GenerateSerializer]
[Immutable]
[Alias("relay.session.end")]
public sealed record SessionEnd([property: Id(0)] string Outcome, [property: Id(1)] SessionProgress? Progress);

/// <summary>What is known of a session.</summary>
/// <param name="Start">As reported.</param>
/// <param name="Progress">The last counters; null before the first.</param>
/// <param name="Kill">The order to end it; null when there is none.</param>
/// <param name="End">How it ended; null while it lives.</param>
[GenerateSerializer]
[Immutable]
[Alias("relay.session.status")]
public sealed record SessionStatus(
    [property: Id(0)] SessionStart Start,
    [property: Id(1)] SessionProgress? Progress,
    [property: Id(2)] SessionKill? Kill,
    [property: Id(3)] SessionEnd? End);
