namespace Relay.Silo.Spool;

/// <summary>A record was not taken: the spool has reached its limit, or its disk takes no more. Nothing was acknowledged. The message is for people.</summary>
internal sealed class SpoolFullException(string message, Exception? inner = null) : Exception(message, inner);
