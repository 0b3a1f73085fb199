namespace Relay.Protocol.Tunnel;

/// <summary>Counts the payload of framed datagrams that pass through a <see cref="StreamPump"/>, and lets nothing pass that is none.</summary>
public sealed class DatagramCounters : StreamPumpCounters
{
    private Position _forth;
    private Position _back;

    internal override bool TryTake(bool fromFirst, ReadOnlySpan<byte> bytes, out int count)
    {
        ref var position = ref fromFirst ? ref _forth : ref _back;
        return position.TryPass(bytes, out count);
    }

    /// <summary>Where in a frame a direction is. A header may be cut anywhere.</summary>
    private struct Position
    {
        private int _left;
        private int _high;
        private bool _isBetween;

        public bool TryPass(ReadOnlySpan<byte> bytes, out int payload)
        {
            payload = 0;
            for (var at = 0; at < bytes.Length;)
            {
                if (_left > 0)
                {
                    var now = Math.Min(_left, bytes.Length - at);
                    (payload, _left, at) = (payload + now, _left - now, at + now);
                }
                else if (!_isBetween)
                {
                    (_high, _isBetween) = (bytes[at++], true);
                }
                else
                {
                    (_left, _isBetween) = ((_high << 8) | bytes[at++], false);
                    if (_left > DatagramFraming.MaxBytes)
                        return false;
                }
            }

            return true;
        }
    }
}
