using Relay.Gateway.Grid;
using Relay.Gateway.Recording;

namespace Relay.Gateway.Sessions;

/// <summary>Ships a session's chunks to its silo.</summary>
internal sealed class SiloRecordingStore(GatewaySession session) : IRecordingStore
{
    public async Task StoreAsync(int recording, int sequence, ReadOnlyMemory<byte> gzip, string? title, bool last, CancellationToken cancellationToken)
    {
        try
        {
            await Delivery.RetryAsync(session, silo => silo.StoreChunkAsync(session.Id, recording, sequence, gzip, title, last, CancellationToken.None));
        }
        catch (GridException e)
        {
            throw new RecordingFailedException($"The recording could not be stored: {e.Message}", e);
        }
    }
}
