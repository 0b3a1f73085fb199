namespace Relay.Protocol.Ssh;

/// <summary>Every outcome of checking a certificate. Only <see cref="Valid"/> lets anyone in; zero does not.</summary>
public enum SshCertificateCheck
{
    /// <summary>Not checked.</summary>
    Unchecked = 0,

    /// <summary>Signed by the given authority, for this use, now, for the given principal, and no restriction is broken.</summary>
    Valid = 1,

    /// <summary>A host certificate where a user's is wanted, or the other way round.</summary>
    WrongKind = 2,

    /// <summary>Signed by another key than the given authority.</summary>
    UntrustedAuthority = 3,

    /// <summary>The authority's signature does not verify.</summary>
    BadSignature = 4,

    /// <summary>Before its first second.</summary>
    NotYetValid = 5,

    /// <summary>At or after its last second.</summary>
    Expired = 6,

    /// <summary>The principal is not among those listed; a certificate that lists none is for nobody.</summary>
    PrincipalNotListed = 7,

    /// <summary>A critical option that Relay does not enforce.</summary>
    UnknownCriticalOption = 8,

    /// <summary>A critical option whose value cannot be read.</summary>
    MalformedCriticalOption = 9,

    /// <summary>The source address is outside the certificate's list, or not known.</summary>
    SourceAddressRefused = 10,
}
