using System.Net.Security;
using System.Net.Sockets;

namespace Relay.Protocol.Tunnel;

/// <summary>
/// TLS on a socket for streams of much data: one system call per write and per batch of records received, where
/// <see cref="SslStream"/> alone needs one or two per record of 16 KiB. Asynchronous only. Caller disposes, which closes
/// the socket.
/// </summary>
public sealed class TlsSocketStream : SslStream
{
    private const int RecordBytes = 16 * 1024;
    private readonly RecordBuffer _records;

    /// <summary>Takes over a connected socket; the caller authenticates.</summary>
    /// <param name="socket">Disposed with this.</param>
    public TlsSocketStream(Socket socket)
        : this(new RecordBuffer(socket))
    {
    }

    private TlsSocketStream(RecordBuffer records)
        : base(records, leaveInnerStreamOpen: false) => _records = records;

    /// <summary>
    /// The suites of TLS 1.3, AES-128 first: ten rounds instead of fourteen. Both ends of the grid's links say so, because
    /// either's order may be the one that counts.
    /// </summary>
    public static CipherSuitesPolicy Suites { get; } = new(
        [TlsCipherSuite.TLS_AES_128_GCM_SHA256, TlsCipherSuite.TLS_AES_256_GCM_SHA384, TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256]);

    /// <inheritdoc/>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        buffer.Length <= RecordBytes ? base.WriteAsync(buffer, cancellationToken) : WriteRecordsAsync(buffer, cancellationToken);

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    private async ValueTask WriteRecordsAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        _records.Hold();
        await base.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
        await _records.SendHeldAsync(cancellationToken).ConfigureAwait(false);
    }
}
