namespace Relay.Gateway.Recording;

/// <summary>What must be recorded could not be. The session ends with this message (L32c); safe to show to the user.</summary>
internal sealed class RecordingFailedException(string message, Exception? inner = null) : Exception(message, inner);
