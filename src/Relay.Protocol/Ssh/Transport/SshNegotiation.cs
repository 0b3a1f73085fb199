namespace Relay.Protocol.Ssh;

/// <summary>Choice of algorithms from the two KEXINIT, RFC 4253 §7.1: the first of the client's that the server has.</summary>
internal static class SshNegotiation
{
    /// <exception cref="SshException">KEY_EXCHANGE_FAILED, naming the list without a common entry.</exception>
    public static SshAlgorithms Choose(SshKexInit client, SshKexInit server, bool strict)
    {
        var kex = Pick("key exchange", client.KeyExchanges, server.KeyExchanges);
        // The markers of strict KEX and EXT_INFO are no methods.
        if (kex is SshAlgorithmNames.StrictClient or SshAlgorithmNames.StrictServer or SshAlgorithmNames.ExtInfoClient)
            throw SshException.KeyExchange("No common key exchange method.");
        var hostKey = Pick("host key", client.HostKeys, server.HostKeys);
        var up = Pick("encryption", client.CiphersToServer, server.CiphersToServer);
        var down = Pick("encryption", client.CiphersToClient, server.CiphersToClient);
        Pick("compression", client.CompressionsToServer, server.CompressionsToServer);
        Pick("compression", client.CompressionsToClient, server.CompressionsToClient);
        return new(
            kex,
            hostKey,
            up,
            down,
            SshAlgorithmNames.IsAuthenticated(up) ? null : Pick("MAC", client.MacsToServer, server.MacsToServer),
            SshAlgorithmNames.IsAuthenticated(down) ? null : Pick("MAC", client.MacsToClient, server.MacsToClient),
            strict);
    }

    /// <summary>
    /// True when the packet that follows a KEXINIT with first_kex_packet_follows was a right guess: both sides prefer
    /// the same key exchange method and the same host key algorithm.
    /// </summary>
    public static bool GuessedRight(SshKexInit client, SshKexInit server)
        => Same(client.KeyExchanges, server.KeyExchanges) && Same(client.HostKeys, server.HostKeys);

    private static bool Same(IReadOnlyList<string> a, IReadOnlyList<string> b)
        => a.Count > 0 && b.Count > 0 && a[0] == b[0];

    private static string Pick(string what, IReadOnlyList<string> client, IReadOnlyList<string> server)
    {
        foreach (var name in client)
        {
            if (server.Contains(name))
                return name;
        }

        throw SshException.KeyExchange($"No common {what} algorithm.");
    }
}
