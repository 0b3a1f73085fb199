using System.Net;
using Relay.Policy;
using Relay.Protocol.Grid;
using Relay.Silo.Snapshots;
using Relay.Silo.Spool;

namespace Relay.Silo.Sessions;

/// <summary>
/// Decides about devices' flows: whose device it is, which of its organization's sockets has the address, and whether its user may use that now. What
/// is carried as it is gets a session; what goes through the gateway's SSH server gets one when that knows more. Every refusal is a row, but
/// for the same one again (<see cref="RepeatedRefusals"/>).
/// </summary>
internal sealed partial class FlowOpener(UserIdentifier identifier, SessionAuthorizer authorizer, SessionEntry entry, TimeProvider time, ILogger<FlowOpener> logger)
{
    /// <summary>Where SSH sockets are, whichever port their targets have.</summary>
    public const int SshPort = 22;

    /// <param name="gateway">The caller's name, from its certificate.</param>
    /// <exception cref="SpoolFullException">It is allowed, and cannot be accounted for here.</exception>
    public async Task<OpenFlowResponse> OpenAsync(string gateway, OpenFlowRequest request, IPAddress dialled, IPAddress clientIp, CancellationToken cancellationToken)
    {
        var decisionId = Guid.CreateVersion7();
        var who = identifier.Identify(request.Device, out var device);
        if (who is not { Organization: { } organization, User: { } user, Credential: { } credential } || device is null)
        {
            LogNotIdentified(logger, gateway, request.Device, decisionId);
            return new OpenFlowResponse(false, decisionId, Message: $"Access denied: {who.Message}.\nDecision {decisionId:D}");
        }

        var destination = GridAddress.Format(dialled.ToString(), request.Port);
        var isUdp = request.Protocol == "udp";
        var socket = organization.SocketsByAddress.GetValueOrDefault(dialled) is { Target: { } target } found && IsAt(target, request.Port, isUdp) ? found : null;
        var facts = new SessionFacts(
            Guid.CreateVersion7(), organization.OrganizationId, user.Id, user.Email, socket?.Id ?? Guid.Empty, socket?.Name ?? destination,
            socket?.Target?.DefinedUsername, clientIp, gateway, credential, time.GetUtcNow());
        var client = new SessionClient(request.ClientPort, $"WireGuard, device {device.Name}", isUdp ? "udp" : "tls");
        var verdict = socket is null
            ? SessionVerdict.Refused(decisionId, organization.Version, $"there is nothing at {destination}")
            : authorizer.Evaluate(organization, facts, new AccessAction.Connect(facts.Username), decisionId);
        var isSsh = socket?.Target is { Kind: SocketKind.Ssh };
        if (socket is null || !(isSsh ? verdict.Decision.IsWithinReach : verdict.Allowed))
            return await RefuseAsync(facts, socket, client, verdict, destination, cancellationToken);

        // Whether the login has ended, and as whom they come, is told in the terminal.
        if (isSsh)
            return new OpenFlowResponse(true, decisionId, "ssh", Socket: socket.Name);
        if (SessionVerdict.LoginEnded(device, organization, facts.StartedAt, decisionId) is { } ended)
        {
            var onRecord = await entry.RefuseAsync(facts, socket, client, ended, cancellationToken);
            return new OpenFlowResponse(false, onRecord, Message: ended.Explain(onRecord), LoginRequired: true);
        }

        var session = await entry.AdmitAsync(facts, socket, client, verdict, cancellationToken);
        return session.Outcome is { } over
            ? new OpenFlowResponse(false, decisionId, Message: $"The session has ended: {over}.\nDecision {decisionId:D}")
            : new OpenFlowResponse(true, decisionId, isUdp ? "udp" : "tcp", session.Id, socket.Name, EndsAt: session.EndsAt);
    }

    private async Task<OpenFlowResponse> RefuseAsync(SessionFacts facts, OrgSocket? socket, SessionClient client, SessionVerdict verdict, string destination, CancellationToken cancellationToken)
    {
        var onRecord = await entry.RefuseAsync(facts, socket, client, verdict, cancellationToken);

        // SECURITY: addresses are easily counted through, so a socket that is not for this person sounds like one that is not there. Whoever is kept off
        // it by a clause alone, in a policy that is for them, is told which.
        var text = verdict.Decision.ReasonCode is ReasonCode.IpNotAllowed or ReasonCode.CountryNotAllowed or ReasonCode.CountryExcluded or ReasonCode.CountryUnknown
            or ReasonCode.NotYet or ReasonCode.NoLonger or ReasonCode.OutsideTimeOfDay
            ? verdict.Explain(onRecord)
            : $"Access denied: there is nothing at {destination} that this device may use.\nDecision {onRecord:D}";
        return new OpenFlowResponse(false, onRecord, Message: text);
    }

    private static bool IsAt(SocketTarget target, int port, bool isUdp) => target.Kind switch
    {
        SocketKind.Ssh => !isUdp && port == SshPort,
        SocketKind.Tcp => !isUdp && target.Hosts.Any(h => h.Port == port),
        SocketKind.Udp => isUdp && target.Hosts.Any(h => h.Port == port),
        _ => false,
    };

    [LoggerMessage(4211, LogLevel.Information, "gateway {Gateway} asked for a flow of device {Device}, which is not known any more, decision {DecisionId}")]
    private static partial void LogNotIdentified(ILogger logger, string gateway, Guid device, Guid decisionId);
}
