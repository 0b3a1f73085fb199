using Relay.Gateway.Grid;
using Relay.Gateway.Recording;

namespace Relay.Gateway.Sessions;

/// <summary>Ships a session's chunks to its silo.</summary>
/// <param name="late">A chunk has not been taken in time, and is tried on: the session must end.</param>
internal sealed class SiloRecordingStore(GatewaySession session, Action<RecordingFailedException> late) : IRecordingStore
{
    public async Task StoreAsync(int recording, int sequence, ReadOnlyMemory<byte> gzip, string? title, bool last, CancellationToken cancellationToken)
    {
        try
        {
            await Delivery.RetryForLongAsync(
                session, silo => silo.StoreChunkAsync(session.Id, recording, sequence, gzip, title, last, CancellationToken.None), e => late(Failure(e)));
        }
        catch (GridException e)
        {
            throw Failure(e);
        }
    }

    private static RecordingFailedException Failure(GridException e) => new($"The recording could not be stored: {e.Message}", e);
}
