namespace Relay.Policy;

/// <summary>Schema a document was written in.</summary>
public enum PolicySchemaVersion
{
    /// <summary>Actions and condition.</summary>
    V1 = 1,

    /// <summary>Permissions and condition; the default.</summary>
    V2 = 2,
}
