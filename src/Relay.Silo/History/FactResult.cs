namespace Relay.Silo.History;

/// <summary>What became of a fact.</summary>
internal enum FactResult
{
    /// <summary>Not that gateway's session, not recorded, or over for too long.</summary>
    NoSession = 0,

    /// <summary>In the store; or in the spool, and the store will say.</summary>
    Written,

    /// <summary>An earlier chunk is missing.</summary>
    Gap,

    /// <summary>The recording had ended.</summary>
    Ended,

    /// <summary>A chunk that is not gzip, or too large inflated.</summary>
    Malformed,
}
