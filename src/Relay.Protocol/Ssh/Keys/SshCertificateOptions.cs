using System.IO.Enumeration;
using System.Net;
using System.Net.Sockets;

namespace Relay.Protocol.Ssh;

/// <summary>Principals and critical options: what a certificate permits.</summary>
internal static class SshCertificateOptions
{
    private const int MaximumTextLength = 8 * 1024, MaximumSources = 256;

    /// <summary>
    /// Whether the name is one of the principals. Host certificates may list patterns with <c>*</c> and <c>?</c>, as
    /// OpenSSH's client takes them; a user's name is compared as it is.
    /// </summary>
    public static bool IsListed(string name, IReadOnlyList<string> principals, SshCertificateKind kind)
    {
        foreach (string principal in principals)
        {
            if (string.Equals(principal, name, StringComparison.Ordinal)) return true;
            // '\' is the matcher's escape, and no host has it in its name.
            if (kind == SshCertificateKind.Host && !principal.Contains('\\', StringComparison.Ordinal)
                && FileSystemName.MatchesSimpleExpression(principal, name, ignoreCase: true)) return true;
        }

        return false;
    }

    /// <summary>Unknown critical options refuse the certificate (PROTOCOL.certkeys); there are none for hosts.</summary>
    public static SshCertificateCheck Check(SshCertificateKind kind, IReadOnlyDictionary<string, byte[]> options, IPAddress? source)
    {
        foreach ((string name, byte[] data) in options)
        {
            if (kind != SshCertificateKind.User || name is not (SshCertificate.ForceCommandOption or SshCertificate.SourceAddressOption))
                return SshCertificateCheck.UnknownCriticalOption;
            if (!TryReadText(data, out string text)) return SshCertificateCheck.MalformedCriticalOption;
            if (name == SshCertificate.SourceAddressOption && CheckSource(text, source) is var check and not SshCertificateCheck.Valid) return check;
        }

        return SshCertificateCheck.Valid;
    }

    /// <summary>Reads an option's data that is one string of UTF-8.</summary>
    public static bool TryReadText(ReadOnlySpan<byte> data, out string text)
    {
        var reader = new SshReader(data);
        return reader.TryReadText(MaximumTextLength, out text) && reader.IsAtEnd;
    }

    /// <summary>An option's data holding one string.</summary>
    public static byte[] WriteText(string text)
    {
        using var writer = new SshWriter();
        writer.WriteString(text);
        return writer.ToArray();
    }

    // Comma-separated addresses and networks in CIDR form. One bad entry spoils the list: it was meant to say something.
    private static SshCertificateCheck CheckSource(string list, IPAddress? source)
    {
        string[] entries = list.Split(',', MaximumSources + 1);
        if (entries.Length > MaximumSources) return SshCertificateCheck.MalformedCriticalOption;
        if (source is { IsIPv4MappedToIPv6: true }) source = source.MapToIPv4();
        bool inside = false;
        foreach (string entry in entries)
        {
            if (!TryParseNetwork(entry, out IPNetwork network)) return SshCertificateCheck.MalformedCriticalOption;
            inside |= source is not null && network.Contains(source);
        }

        return inside ? SshCertificateCheck.Valid : SshCertificateCheck.SourceAddressRefused;
    }

    /// <summary>Reads <c>10.0.0.0/8</c> or a lone address. Bits behind the prefix must be zero, as OpenSSH demands.</summary>
    internal static bool TryParseNetwork(string text, out IPNetwork network)
    {
        network = default;
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        if (!IPAddress.TryParse(slash < 0 ? text : text.AsSpan(0, slash), out IPAddress? address)) return false;
        if (slash >= 0) return IPNetwork.TryParse(text, out network) && network.BaseAddress.Equals(address); // the framework masks the rest away
        network = new IPNetwork(address, address.AddressFamily == AddressFamily.InterNetwork ? 32 : 128);
        return true;
    }
}
