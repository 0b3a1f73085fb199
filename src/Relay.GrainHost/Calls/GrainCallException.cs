using Orleans.Runtime;

namespace Relay.GrainHost.Calls;

/// <summary>A grain in another silo threw an exception of a type that does not travel.</summary>
public sealed class GrainCallException : OrleansException
{
    /// <summary>An unexplained failure.</summary>
    public GrainCallException()
    {
    }

    /// <summary>A failure in words.</summary>
    public GrainCallException(string message)
        : base(message)
    {
    }

    /// <summary>A failure with its cause.</summary>
    public GrainCallException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }

    /// <summary>A failure as the other silo named it.</summary>
    /// <param name="remoteType">Full name of the exception's type there; only a name, it may not exist here.</param>
    /// <param name="message">Its message.</param>
    public GrainCallException(string remoteType, string message)
        : base($"{remoteType}: {message}")
    {
        RemoteType = remoteType;
        InnerMessage = message;
    }

    /// <summary>Full name of the exception's type in the other silo; empty when unknown.</summary>
    public string RemoteType { get; } = "";

    /// <summary>The message without the type.</summary>
    internal string? InnerMessage { get; }
}
