namespace Relay.Protocol.Grid;

/// <summary>What a certificate of the grid's CA lets its holder be. Zero is nobody.</summary>
public enum GridRole
{
    /// <summary>No role: never the result of a check that held.</summary>
    None = 0,

    /// <summary>A silo.</summary>
    Silo,

    /// <summary>A gateway.</summary>
    Gateway,
}

/// <summary>Who is at the other end of a grid link, as its leaf certificate says.</summary>
/// <param name="Role">Never <see cref="GridRole.None"/> when it came from a check that held.</param>
/// <param name="Name">1..63 characters of <c>[a-z0-9.-]</c>.</param>
public readonly record struct GridPeer(GridRole Role, string Name);

/// <summary>Why a peer's certificate was refused. Zero means that it holds.</summary>
public enum GridCertificateError
{
    /// <summary>The certificate holds.</summary>
    None = 0,

    /// <summary>The peer sent no certificate.</summary>
    Missing,

    /// <summary>Not issued by the grid's CA, or not directly (exactly leaf ← CA is accepted).</summary>
    ForeignAuthority,

    /// <summary>Outside its dates.</summary>
    Expired,

    /// <summary>A CA certificate, a wrong key type or usage.</summary>
    WrongShape,

    /// <summary>No or more than one <c>relay://grid/…</c> name, or an unknown role.</summary>
    NoIdentity,
}
