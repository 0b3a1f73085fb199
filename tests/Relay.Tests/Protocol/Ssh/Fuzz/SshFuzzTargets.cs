using Relay.Protocol.Ssh;
using Relay.Tests.Protocol.Ssh.Transport;

namespace Relay.Tests.Protocol.Ssh.Fuzz;

/// <summary>
/// One entry point per parser of what a peer sends. Each throws an assertion when the parser breaks its promise: no
/// exception but <see cref="SshException"/>, the same result however the bytes are split, and what is read writes back.
/// </summary>
internal static class SshFuzzTargets
{
    public delegate void Target(ReadOnlySpan<byte> data);

    public static IReadOnlyDictionary<string, Target> All { get; } = new Dictionary<string, Target>
    {
        ["identification"] = FuzzIdentification,
        ["server-transport"] = data => FuzzTransport(SshRole.Server, data),
        ["client-transport"] = data => FuzzTransport(SshRole.Client, data),
        ["kexinit"] = FuzzKexInit,
        ["ext-info"] = FuzzExtInfo,
        ["userauth"] = FuzzUserAuth,
        ["requests"] = FuzzRequests,
        ["disconnect"] = FuzzDisconnect,
    };

    public static void FuzzIdentification(ReadOnlySpan<byte> data)
    {
        foreach (var role in Enum.GetValues<SshRole>())
            Assert.Equal(Identify(role, data, data.Length), Identify(role, data, 1));
    }

    /// <summary>The whole state machine before any key, fed at once and in pieces of three.</summary>
    public static void FuzzTransport(SshRole role, ReadOnlySpan<byte> data)
        => Assert.Equal(Drive(role, data, data.Length), Drive(role, data, 3));

    public static void FuzzKexInit(ReadOnlySpan<byte> data)
    {
        if (!SshKexInit.TryParse(data, out var message))
            return;
        Assert.True(SshKexInit.TryParse(message!.ToPayload(), out var again));
        Assert.Equal(message.KeyExchanges, again!.KeyExchanges);
        Assert.Equal(message.CompressionsToClient, again.CompressionsToClient);
        Assert.All(message.KeyExchanges, static name => Assert.InRange(name.Length, 1, SshReader.MaximumNameLength));
    }

    public static void FuzzExtInfo(ReadOnlySpan<byte> data)
    {
        if (SshExtInfo.TryParse(data, out var names) && names is not null)
        {
            Assert.True(SshExtInfo.TryParse(SshExtInfo.ToPayload(names), out var again));
            Assert.Equal(names, again);
        }
    }

    public static void FuzzUserAuth(ReadOnlySpan<byte> data)
    {
        if (!SshUserAuthRequest.TryParse(data, out var request))
            return;
        Assert.True(request.Fields.Length < data.Length);
        if (!SshPublicKeyFields.TryParse(request.Fields, out var fields))
            return;
        // The signature is the rest after what it covers, with its length.
        Assert.Equal(request.Fields.Length, fields.SignedLength + (fields.IsSigned ? 4 + fields.Signature.Length : 0));
    }

    public static void FuzzRequests(ReadOnlySpan<byte> data)
    {
        // A boolean may be any byte but is written as 0 or 1; all else writes back as it came.
        if (SshPtyRequest.TryParse(data, out var pty))
        {
            Assert.Equal(data, pty.ToPayload());
            pty.ReadModes();
        }

        if (SshWindowChange.TryParse(data, out var change))
            Assert.Equal(data, change.ToPayload());
        if (SshEnvironmentRequest.TryParse(data, out var variable))
            Assert.Equal(data, variable.ToPayload());
        if (SshExecRequest.TryParse(data, out var exec))
            Assert.Equal(data, exec.ToPayload());
        if (SshSubsystemRequest.TryParse(data, out var subsystem))
            Assert.Equal(data, subsystem.ToPayload());
        if (SshSignalRequest.TryParse(data, out var signal))
            Assert.Equal(data, signal.ToPayload());
        if (SshExitStatus.TryParse(data, out var status))
            Assert.Equal(data, status.ToPayload());
        if (SshExitSignal.TryParse(data, out var killed))
        {
            Assert.True(SshExitSignal.TryParse(killed.ToPayload(), out var again));
            Assert.Equal(killed, again);
        }

        if (SshTcpipOpen.TryParse(data, out var open))
            Assert.Equal(data, open.ToTypeData());
        if (SshTcpipForward.TryParse(data, out var forward))
            Assert.Equal(data, forward.ToData());
    }

    public static void FuzzDisconnect(ReadOnlySpan<byte> data)
    {
        var error = SshDisconnectMessage.Parse(data);
        Assert.True(error.ByPeer);
        Assert.InRange(error.Message.Length, 0, 1024);
        Assert.DoesNotContain(error.Message, char.IsControl);
    }

    private static string Identify(SshRole role, ReadOnlySpan<byte> data, int step)
    {
        var reader = new SshIdentificationReader(role);
        var start = 0;
        try
        {
            for (var end = 0; end <= data.Length; end += Math.Max(1, Math.Min(step, data.Length - end)))
            {
                while (reader.TryReadLine(data[start..end], out var consumed, out var version))
                {
                    start += consumed;
                    if (version is not null)
                        return $"{start} {version}";
                }
            }

            return $"{start}";
        }
        catch (SshException error)
        {
            return error.Reason.ToString();
        }
    }

    private static string Drive(SshRole role, ReadOnlySpan<byte> data, int step)
    {
        using var transport = new SshTransport(role == SshRole.Server ? TransportPair.ServerOptions : TransportPair.ClientOptions);
        transport.Start(default);
        var input = data.ToArray();
        var start = 0;
        var end = 0;
        var upper = 0;
        try
        {
            while (true)
            {
                var result = transport.Read(input.AsSpan(start, end - start), out var consumed, out var offset, out var length, out _);
                if (result == SshReadResult.NeedMore)
                {
                    if (end == input.Length)
                        return $"{start} {upper} {transport.Phase}";
                    end = Math.Min(input.Length, end + Math.Max(1, step));
                    continue;
                }

                if (result == SshReadResult.Packet && transport.Handle(input.AsSpan(start + offset, length), default) == SshHandled.Upper)
                    upper++;
                start += consumed;
            }
        }
        catch (SshException error)
        {
            return $"{start} {error.Reason}";
        }
    }
}
