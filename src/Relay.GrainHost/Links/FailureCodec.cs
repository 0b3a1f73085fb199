using Orleans.Runtime;
using Relay.GrainHost.Calls;
using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Links;

/// <summary>
/// How a failure travels: a code for the kinds below, the type's name, the message. The reader makes one of these kinds or a
/// <see cref="GrainCallException"/>; it never looks up a type by the name it was sent. Stack traces do not travel.
/// </summary>
internal static class FailureCodec
{
    private enum Code : byte
    {
        Other = 0,
        Timeout = 1,
        Cancelled = 2,
        Argument = 3,
        InvalidOperation = 4,
        NotSupported = 5,
        KeyNotFound = 6,
        Unauthorized = 7,
        Rejected = 8,
        Limit = 9,
        Unavailable = 10,
        Orleans = 11,
    }

    public static void Write(WireWriter writer, Exception exception)
    {
        var code = exception switch
        {
            TimeoutException => Code.Timeout,
            OperationCanceledException => Code.Cancelled,
            ArgumentException => Code.Argument,
            KeyNotFoundException => Code.KeyNotFound,
            NotSupportedException => Code.NotSupported,
            InvalidOperationException => Code.InvalidOperation,
            UnauthorizedAccessException => Code.Unauthorized,
            SiloUnavailableException => Code.Unavailable,
            OrleansMessageRejectionException => Code.Rejected,
            LimitExceededException => Code.Limit,
            GrainCallException => Code.Other,
            OrleansException => Code.Orleans,
            _ => Code.Other,
        };
        writer.WriteByte((byte)code);
        writer.WriteString(Cut(exception is GrainCallException relayed ? relayed.RemoteType : exception.GetType().FullName ?? ""));
        writer.WriteString(Cut(exception is GrainCallException { InnerMessage: { } inner } ? inner : exception.Message));
    }

    public static Exception Read(ref WireReader reader)
    {
        var code = (Code)reader.ReadByte();
        var type = Cut(reader.ReadString());
        var message = Cut(reader.ReadString());
        return code switch
        {
            Code.Timeout => new TimeoutException(message),
            Code.Cancelled => new OperationCanceledException(message),
            Code.Argument => new ArgumentException(message),
            Code.KeyNotFound => new KeyNotFoundException(message),
            Code.NotSupported => new NotSupportedException(message),
            Code.InvalidOperation => new InvalidOperationException(message),
            Code.Unauthorized => new UnauthorizedAccessException(message),
            Code.Unavailable => new SiloUnavailableException(message),
            Code.Rejected => new OrleansMessageRejectionException(message),
            Code.Limit => new LimitExceededException(message),
            Code.Orleans => new OrleansException(message),
            _ => new GrainCallException(type, message),
        };
    }

    private static string Cut(string text) => text.Length <= LinkWire.MaxFailureText ? text : text[..LinkWire.MaxFailureText];
}
