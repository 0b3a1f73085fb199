namespace Relay.Silo.Storage;

/// <summary>The store cannot be used; the message is for the operator and holds no secret.</summary>
internal sealed class StorageException(string message, Exception? inner = null) : Exception(message, inner);
