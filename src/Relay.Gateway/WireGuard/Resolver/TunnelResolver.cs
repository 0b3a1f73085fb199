using System.Net;
using System.Net.Sockets;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.Dns;

namespace Relay.Gateway.WireGuard.Resolver;

/// <summary>
/// Answers devices' questions: names under the suffix by what the silos say of sockets, others by other resolvers or not at all. Whoever can ask
/// has a tunnel, and so cannot ask in another's name. Safe for concurrent use.
/// </summary>
internal sealed class TunnelResolver(ResolverOptions options, ISocketNames names, TimeProvider time)
{
    private readonly DnsForwarder _forwarder = new(options, time);
    private readonly DeviceQuestions _questions = new(options.QuestionsPerDevice);
    private readonly string _under = "." + options.Suffix;

    public ResolverOptions Options => options;

    public TimeProvider Time => time;

    /// <summary>The answer to a message; empty: it gets none.</summary>
    /// <param name="request">Whose it is.</param>
    /// <param name="message">As it came.</param>
    /// <param name="cancellationToken">Nobody waits for the answer any more.</param>
    public async ValueTask<ReadOnlyMemory<byte>> AnswerAsync(FlowRequest request, ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        var buffer = new byte[DnsWire.EdnsUdpBytes];
        if (!DnsQuery.TryRead(message.Span, out var query, out var error))
            return error is { } code ? buffer.AsMemory(0, DnsAnswer.WriteError(message.Span, query, code, buffer)) : default;
        if (!_questions.TryEnter(request.Device.Id)) return Say(DnsCode.ServerFailure);
        try
        {
            var isTcp = request.Protocol == FlowProtocol.Tcp;
            if (query!.Class != 1) return Say(DnsCode.Refused);
            if (query.Name == options.Suffix || query.Name.EndsWith(_under, StringComparison.Ordinal)) return await AnswerOwnAsync(request, query, buffer, cancellationToken);
            if (IsOfOurRanges(query)) return Say(DnsCode.NameError);
            if (options.Forward.Count == 0) return Say(DnsCode.Refused);
            if (await _forwarder.AskAsync(query, isTcp, cancellationToken) is not { } answer) return Say(DnsCode.ServerFailure);
            return isTcp || answer.Length <= query.UdpBytes ? answer : buffer.AsMemory(0, DnsAnswer.WriteTruncated(query, buffer));
        }
        finally
        {
            _questions.Leave(request.Device.Id);
        }

        ReadOnlyMemory<byte> Say(DnsCode code) => buffer.AsMemory(0, DnsAnswer.Write(query!, code, [], 0, null, buffer, isOurs: false));
    }

    private async ValueTask<ReadOnlyMemory<byte>> AnswerOwnAsync(FlowRequest request, DnsQuery query, byte[] buffer, CancellationToken cancellationToken)
    {
        // The suffix itself: a name with nothing but the start of its zone.
        if (query.Name.Length == options.Suffix.Length) return Write(DnsCode.NoError, [], withZone: query.Type is DnsType.Soa or DnsType.Any);
        var name = query.Name[..^_under.Length];
        if (!IsSocketName(name)) return Write(DnsCode.NameError, []);
        IReadOnlyList<IPAddress> addresses;
        try
        {
            using var late = new CancellationTokenSource(options.AskTimeout, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
            addresses = await names.ResolveAsync(request, name, either.Token);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return buffer.AsMemory(0, DnsAnswer.Write(query, DnsCode.ServerFailure, [], 0, null, buffer));
        }

        if (addresses.Count == 0) return Write(DnsCode.NameError, []);
        return Write(DnsCode.NoError, [.. addresses.Where(a => query.Type == DnsType.Any || query.Type == (a.AddressFamily == AddressFamily.InterNetwork ? DnsType.A : DnsType.Aaaa))]);

        ReadOnlyMemory<byte> Write(DnsCode code, IReadOnlyList<IPAddress> records, bool withZone = false) =>
            buffer.AsMemory(0, DnsAnswer.Write(query, code, records, ResolverOptions.SecondsToLive, options.Suffix, buffer.AsSpan(0, query.UdpBytes), withZone: withZone));
    }

    // What is none is not worth a silo's time.
    private static bool IsSocketName(string name) => name.Length <= 127 && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-');

    private bool IsOfOurRanges(DnsQuery query) =>
        ReverseName.TryParse(query.Name) is { } address && WireGuardOptions.IsIn(options.Ranges, address);
}
