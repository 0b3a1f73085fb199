namespace Relay.Protocol.Ssh;

/// <summary>Certificate times: seconds since the Unix epoch as uint64, all ones for "for ever" (PROTOCOL.certkeys).</summary>
internal static class SshCertificateTime
{
    /// <summary>9999-12-31T23:59:59Z, the last second the framework knows; what is later counts as for ever.</summary>
    private const ulong LastSecond = 253_402_300_799;

    public static DateTimeOffset FromWire(ulong seconds) =>
        seconds >= LastSecond ? DateTimeOffset.MaxValue : DateTimeOffset.FromUnixTimeSeconds((long)seconds);

    /// <summary>Fractions of a second are cut off.</summary>
    public static ulong ToWire(DateTimeOffset time) =>
        time == DateTimeOffset.MaxValue ? ulong.MaxValue : (ulong)Math.Max(0, time.ToUnixTimeSeconds());
}
