namespace Relay.Silo.Authorities;

/// <summary>The grid's and the organizations' keys as the tables have them: private ones are sealed.</summary>
internal sealed record AuthorityRows
{
    public required GridRow Grid { get; init; }

    public required IReadOnlyList<OrganizationRow> Organizations { get; init; }

    internal sealed class GridRow
    {
        public Guid GridId { get; init; }

        public byte[] CaCertificate { get; init; } = [];

        public byte[] CaKey { get; init; } = [];

        public byte[] SigningKey { get; init; } = [];

        public byte[] GatewayHostKey { get; init; } = [];

        /// <summary>Null: what a silo of an older version left on disk.</summary>
        public byte[]? WireGuardKey { get; init; }
    }

    internal sealed class OrganizationRow
    {
        public Guid OrganizationId { get; init; }

        public byte[] UserCa { get; init; } = [];

        public byte[] SshCa { get; init; } = [];

        public string UserCaPublic { get; init; } = "";

        public string SshCaPublic { get; init; } = "";
    }
}
