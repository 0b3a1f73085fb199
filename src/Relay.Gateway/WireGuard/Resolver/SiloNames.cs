using System.Net;
using Relay.Gateway.Grid;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.Grid;

namespace Relay.Gateway.WireGuard.Resolver;

/// <summary>What the silos say of sockets' names.</summary>
internal sealed class SiloNames(SiloPool silos) : ISocketNames
{
    public async ValueTask<IReadOnlyList<IPAddress>> ResolveAsync(FlowRequest request, string name, CancellationToken cancellationToken)
    {
        var question = new ResolveRequest(request.Device.Id, name, request.Outside.Address.ToString());
        try
        {
            var (_, answer) = await silos.AskAsync((link, ct) => link.ResolveAsync(question, ct), cancellationToken);
            return [.. answer.Addresses.Select(a => IPAddress.TryParse(a, out var address) ? address : null).OfType<IPAddress>()];
        }
        catch (GridException e)
        {
            throw new IOException(e.Message, e);
        }
    }
}
