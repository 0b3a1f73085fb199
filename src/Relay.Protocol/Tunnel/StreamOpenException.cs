namespace Relay.Protocol.Tunnel;

/// <summary>Why a stream was not opened.</summary>
public enum StreamOpenError
{
    /// <summary>Anything not named below; the message says what.</summary>
    Failed = 0,

    /// <summary>The target's host answered that nothing listens there.</summary>
    Refused,

    /// <summary>No route to the target, or its network is down.</summary>
    Unreachable,

    /// <summary>The target's name does not resolve at the connector.</summary>
    NameNotFound,

    /// <summary>No answer within the deadline.</summary>
    TimedOut,

    /// <summary>The opener's epoch is lower than the highest seen: it acts on an attachment that is over.</summary>
    StaleEpoch,

    /// <summary>The connector is not attached where it was looked for.</summary>
    NotAttached,

    /// <summary>The agent does not offer such a target.</summary>
    Unsupported,
}

/// <summary>The names of <see cref="StreamOpenError"/> on the wire (<see cref="TunnelWire.ErrorCodeHeader"/>).</summary>
public static class StreamOpenErrors
{
    private static readonly string[] Names =
        ["failed", "refused", "unreachable", "name_not_found", "timed_out", "stale_epoch", "not_attached", "unsupported"];

    /// <summary>The name on the wire.</summary>
    /// <param name="error">The reason.</param>
    public static string ToWire(this StreamOpenError error) => Names[(int)error];

    /// <summary>Reads a name; null and unknown names are <see cref="StreamOpenError.Failed"/>.</summary>
    /// <param name="name">The name on the wire.</param>
    public static StreamOpenError Parse(string? name) => (StreamOpenError)Math.Max(0, Array.IndexOf(Names, name));
}

/// <summary>A stream was not opened. The message is one sentence, safe to show to the user.</summary>
public sealed class StreamOpenException : IOException
{
    /// <summary>A refusal with its reason.</summary>
    /// <param name="error">The reason.</param>
    /// <param name="message">One sentence, safe to show.</param>
    /// <param name="inner">What it came from; null: nothing.</param>
    public StreamOpenException(StreamOpenError error, string message, Exception? inner = null)
        : base(message, inner)
    {
        Error = error;
    }

    /// <summary>The reason.</summary>
    public StreamOpenError Error { get; }

    /// <summary>True: the other end said so. False: it said nothing, and may still open the stream when the request reaches it.</summary>
    public bool Answered { get; init; }

    /// <summary>True: the other end did not understand the request, as one of an older version does not.</summary>
    public bool NotUnderstood { get; init; }
}
