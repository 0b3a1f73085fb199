using System.Net;
using Microsoft.Extensions.Logging;
using Relay.Gateway.Access;
using Relay.Gateway.Grid;
using Relay.Gateway.Hosting;
using Relay.Gateway.Proxy;
using Relay.Gateway.Sessions;
using Relay.Gateway.Ssh;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Gateway.WireGuard.Flows;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;

namespace Relay.Gateway.Devices;

/// <summary>
/// Decides about devices' flows as the silos do, and reaches their targets through them. One question for each flow, kept for its life only.
/// Safe for concurrent use.
/// </summary>
/// <param name="ssh">Serves flows to SSH sockets.</param>
internal sealed partial class GridFlows(
    SiloPool silos, LiveSessions live, SessionClosing closing, SshListener ssh, GatewayMetrics metrics, TimeProvider time, ILogger<GridFlows> logger) : IFlows
{
    private readonly TaskSet _endings = new();

    public async ValueTask<FlowDecision> DecideAsync(FlowRequest request, CancellationToken cancellationToken)
    {
        var protocol = request.Protocol == FlowProtocol.Tcp ? "tcp" : "udp";
        var question = new OpenFlowRequest(
            request.Device.Id, request.Dialled.Address.ToString(), request.Dialled.Port, protocol, request.Outside.Address.ToString(), request.Outside.Port);
        SiloLink silo;
        OpenFlowResponse answer;
        try
        {
            (silo, answer) = await silos.AskAsync((link, ct) => link.OpenFlowAsync(question, ct), cancellationToken);
        }
        catch (GridException e)
        {
            metrics.OnFlow(protocol, "undecided");
            return Refuse(HttpStatusCode.ServiceUnavailable, $"Relay can not decide now: {e.Message} Try again in a moment.");
        }

        if (!answer.Allowed)
        {
            metrics.OnFlow(protocol, "denied");
            var why = answer.Message ?? $"Access is denied.\nDecision {answer.DecisionId:D}";
            return Refuse(answer.LoginRequired ? HttpStatusCode.NetworkAuthenticationRequired : HttpStatusCode.Forbidden, why);
        }

        metrics.OnFlow(answer.Kind == "ssh" ? "ssh" : protocol, "allowed");
        switch (answer.Kind)
        {
            case "ssh" when answer.Socket is { } socket:
                var login = new DeviceLogin(request.Device.Id, socket);
                return FlowDecision.Serve(accepted => ssh.ServeAsync(accepted, request.Outside, login));
            case "tcp" or "udp" when answer.Kind == protocol:
                return await OpenAsync(silo, answer, request, cancellationToken);
            default:
                // A newer silo's kind; nothing was opened that this gateway could end.
                return FlowDecision.Refuse($"this gateway can not carry \"{UserText.Line(answer.Kind ?? "")}\"");
        }
    }

    /// <summary>Waits until the silos know of all ends so far; false when the limit has passed.</summary>
    public Task<bool> WaitAsync(TimeSpan limit) => _endings.WaitAsync(limit, time);

    private async ValueTask<FlowDecision> OpenAsync(SiloLink silo, OpenFlowResponse answer, FlowRequest request, CancellationToken cancellationToken)
    {
        var session = new FlowSession(silo, silos, answer, time);
        live.Add(session);
        _ = session.EndInTimeAsync(session.Over);
        DuplexStream stream;
        try
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(session.Over, cancellationToken);
            stream = await silo.OpenStreamAsync(session.Id, either.Token);
        }
        catch (Exception e)
        {
            var reason = e is StreamOpenException or GridException ? UserText.Clean(e.Message) : null;
            session.End(new SessionEnd(reason is null ? "connection lost" : $"target not reached: {UserText.Line(reason)}", null));
            Finish(session);
            if (reason is null)
            {
                throw;
            }

            metrics.OnUpstreamFailed(e is StreamOpenException ? "target" : "silo");
            return Refuse(HttpStatusCode.BadGateway, reason);
        }

        LogOpened(logger, session.Id, answer.Socket ?? "", request.Protocol, request.Device.Id, silo.Address);
        void Ended(FlowEnd end)
        {
            session.End(end, stream is DuplexHttpStream { WasLost: true });
            Finish(session);
        }

        return request.Protocol == FlowProtocol.Udp ? FlowDecision.Allow(new DatagramStream(stream), Ended, session.Over) : FlowDecision.Allow(stream, Ended, session.Over);
    }

    private static FlowDecision Refuse(HttpStatusCode status, string why) => FlowDecision.Refuse(UserText.Line(why), said => RefusalPage.Answer(said.Span, status, UserText.Clean(why)));

    private void Finish(FlowSession session) => _endings.Run(async () => await closing.RunAsync(session, await session.Ended));

    [LoggerMessage(EventId = 3501, Level = LogLevel.Information, Message = "flow opened")]
    private static partial void LogOpened(ILogger logger, Guid session, string socket, FlowProtocol protocol, Guid device, string silo);
}
