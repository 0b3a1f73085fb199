using System.Globalization;
using Relay.Silo.Secrets;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.Spool;

/// <summary>
/// A durable queue in a folder: what is appended is on disk, sealed, before <see cref="AppendAsync"/> returns, and is read in order until
/// it is said to be delivered. Appends that come together share one sync. Safe for concurrent use by any number of writers and one
/// reader. Dispose writes what waits.
/// </summary>
internal sealed partial class Spool : IDisposable
{
    private const string Extension = ".seg";

    /// <summary>ENOSPC.</summary>
    private const int NoSpace = 28;

    private readonly SpoolOptions _options;
    private readonly SecretVault _vault;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly FileStream _owner;
    private readonly Thread _writer;
    private readonly SemaphoreSlim _signal = new(0);
    private readonly Wakeup _arrived = new();
    private readonly Lock _lock = new();
    private readonly LinkedList<SpoolSegment> _segments = [];
    private List<Waiting> _queue = [];
    private SpoolSegment? _active;
    private long _queuedBytes;
    private int _writing;
    private long _offset;
    private long _records;
    private long _bytes;
    private ulong _lastName;
    private DateTimeOffset? _oldest;
    private string? _failure;
    private bool _stopping;

    private Spool(SpoolOptions options, SecretVault vault, TimeProvider time, ILogger logger, FileStream owner)
    {
        (_options, _vault, _time, _logger, _owner) = (options, vault, time, logger, owner);
        Recover();
        _writer = new Thread(Write) { IsBackground = true, Name = "relay spool" };
        _writer.Start();
    }

    /// <summary>Records that are on disk and not delivered.</summary>
    public long Records
    {
        get
        {
            lock (_lock)
                // A reader may be quicker than the writer's count.
                return Math.Max(0, _records);
        }
    }

    /// <summary>Bytes on disk.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return _bytes;
        }
    }

    /// <summary>When the oldest of <see cref="Records"/> was appended; null: there is none.</summary>
    public DateTimeOffset? Oldest
    {
        get
        {
            lock (_lock)
                return _records == 0 ? null : _oldest;
        }
    }

    /// <summary>True when everything that was ever acknowledged is delivered and off the disk, and nothing is on its way in.</summary>
    public bool IsEmpty
    {
        get
        {
            lock (_lock)
                return _segments.Count == 0 && _queue.Count == 0 && _writing == 0;
        }
    }

    /// <summary>Why a recording cannot be taken now; null: it can. For telling before it begins.</summary>
    public string? Refusal
    {
        get
        {
            lock (_lock)
                return _bytes + _queuedBytes > _options.LimitBytes - _options.ReserveBytes ? Full() : null;
        }
    }

    /// <summary>Why recordings are not taken, or the last record was not; null: all is well. For people: who wants to append tries.</summary>
    public string? Problem
    {
        get
        {
            lock (_lock)
                return _failure ?? Refusal;
        }
    }

    /// <summary>Opens the folder and whatever an earlier process left in it.</summary>
    /// <exception cref="StorageException">Another process uses it, or it was written under another master key.</exception>
    public static Spool Open(SpoolOptions options, SecretVault vault, TimeProvider time, ILogger logger)
    {
        PrivateFiles.CreateDirectory(options.Directory);
        FileStream owner;
        try
        {
            owner = new FileStream(Path.Combine(options.Directory, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new StorageException($"the spool {options.Directory} is in use by another process: each silo needs a state folder, or at least a name, of its own", e);
        }

        try
        {
            return new Spool(options, vault, time, logger, owner);
        }
        catch
        {
            owner.Dispose();
            throw;
        }
    }

    /// <summary>Completes when the record is safe on disk.</summary>
    /// <param name="bulk">Part of a recording: refused a little before facts are.</param>
    /// <exception cref="SpoolFullException">It was not taken.</exception>
    public Task AppendAsync(ReadOnlyMemory<byte> payload, bool bulk)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(payload.Length, SpoolFormat.MaxPayloadBytes);
        var waiting = new Waiting(_time.GetUtcNow(), payload);
        var size = SpoolFormat.SizeOf(payload.Length);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_stopping, this);
            if (_bytes + _queuedBytes + size > (bulk ? _options.LimitBytes - _options.ReserveBytes : _options.LimitBytes))
                return Task.FromException(new SpoolFullException(Full()));
            _queue.Add(waiting);
            _queuedBytes += size;
        }

        _signal.Release();
        return waiting.Done.Task;
    }

    /// <summary>Returns when something was appended since the last return, or after <paramref name="atMost"/>.</summary>
    public Task WaitAsync(TimeSpan atMost, CancellationToken cancellationToken) => _arrived.WaitAsync(atMost, _time, cancellationToken);

    /// <summary>The oldest undelivered records; the same again until <see cref="Delivered"/>. Null: there is none.</summary>
    public SpoolBatch? Read(int maxRecords, int maxBytes)
    {
        while (true)
        {
            SpoolSegment segment;
            long offset, end;
            lock (_lock)
            {
                if (_segments.First is not { } first)
                    return null;
                segment = first.Value;
                offset = _offset == 0 ? segment.First : _offset;
                end = segment.End;
            }

            var records = new List<SpoolRecord>();
            var bytes = 0;
            while (records.Count < maxRecords && bytes < maxBytes && segment.Read(ref offset, end) is { } record)
            {
                records.Add(new SpoolRecord(record.At, record.Payload));
                bytes += record.Payload.Length;
            }

            if (records.Count > 0)
                return new SpoolBatch(records) { Segment = segment, NextOffset = offset };
            if (!TryRemove(segment, end))
                return null;
        }
    }

    /// <summary>The batch is in the store: it is not read again, and its file goes when all of it is.</summary>
    public void Delivered(SpoolBatch batch)
    {
        lock (_lock)
        {
            _offset = batch.NextOffset;
            _records -= batch.Records.Count;
            _oldest = batch.Records[^1].At;
        }

        TryRemove(batch.Segment, batch.NextOffset);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_stopping)
                return;
            _stopping = true;
        }

        _signal.Release();
        _writer.Join();
        foreach (var segment in _segments)
            segment.Dispose();
        _signal.Dispose();
        _owner.Dispose();
    }

    private string Full() => string.Create(CultureInfo.InvariantCulture, $"the silo's spool is full ({_options.LimitBytes / (1024 * 1024)} MiB)");

    // Users read it too: no paths.
    private static string Describe(Exception failure) => failure is IOException { HResult: NoSpace } ? "the silo's disk is full" : "the silo's spool cannot be written";

    private void Recover()
    {
        foreach (var draft in Directory.EnumerateFiles(_options.Directory, "*.new"))
            File.Delete(draft);
        foreach (var path in Directory.EnumerateFiles(_options.Directory, "*" + Extension).Order(StringComparer.Ordinal))
        {
            _lastName = Math.Max(_lastName, ulong.Parse(Path.GetFileNameWithoutExtension(path), CultureInfo.InvariantCulture));
            SpoolSegment segment;
            try
            {
                segment = SpoolSegment.Open(path, _vault);
            }
            catch (InvalidDataException e)
            {
                // Kept for whoever wants to look; what else there is goes on.
                LogDamaged(_logger, path, e.Message);
                File.Move(path, path + ".damaged", overwrite: true);
                continue;
            }

            if (segment.IsDamaged)
                LogDamaged(_logger, path, "some of its records do not check");
            _segments.AddLast(segment);
            _records += segment.Found;
            _bytes += new FileInfo(path).Length;
            _oldest ??= segment.Oldest;
        }

        if (_records > 0)
            LogRecovered(_logger, _records, _bytes);
    }

    // True: it is gone, and what follows can be read. Everything in it must have been delivered.
    private bool TryRemove(SpoolSegment segment, long upTo)
    {
        lock (_lock)
        {
            if (_segments.First?.Value != segment || upTo < segment.End)
                return false;
            if (segment == _active)
            {
                if (_writing > 0)
                    return false;
                _active = null;
            }

            _segments.RemoveFirst();
            _offset = 0;
            _bytes -= new FileInfo(segment.Path).Length;
        }

        segment.Dispose();
        if (segment.IsDamaged)
            File.Move(segment.Path, segment.Path + ".damaged", overwrite: true);
        else
            File.Delete(segment.Path);
        return true;
    }

    private void Write()
    {
        while (true)
        {
            _signal.Wait();
            List<Waiting> batch;
            lock (_lock)
            {
                if (_queue.Count == 0)
                {
                    if (_stopping)
                        return;
                    continue;
                }

                batch = _queue;
                _queue = [];
                _queuedBytes = 0;
                _writing = batch.Count;
            }

            Exception? failure = null;
            try
            {
                Append(batch);
            }
            catch (Exception e)
            {
                failure = e;
                LogNotWritten(_logger, e.Message);
            }

            lock (_lock)
            {
                _writing = 0;
                _failure = failure is null ? null : Describe(failure);
                if (failure is null)
                {
                    if (_records == 0)
                        _oldest = batch[0].At;
                    _records += batch.Count;
                }
            }

            foreach (var waiting in batch)
            {
                if (failure is null)
                    waiting.Done.TrySetResult();
                else
                    waiting.Done.TrySetException(new SpoolFullException(Describe(failure), failure));
            }

            _arrived.Set();
        }
    }

    private void Append(List<Waiting> batch)
    {
        SpoolSegment? active;
        lock (_lock)
        {
            if (_active is { } current && current.End >= _options.SegmentBytes)
                _active = null;
            active = _active;
        }

        if (active is null)
        {
            var path = Path.Combine(_options.Directory, (++_lastName).ToString("D20", CultureInfo.InvariantCulture) + Extension);
            active = SpoolSegment.Create(path, _vault);
            lock (_lock)
            {
                _active = active;
                _segments.AddLast(active);
                _bytes += active.First;
            }
        }

        var before = active.End;
        try
        {
            active.Append(batch.ConvertAll(w => (w.At, w.Payload)));
        }
        catch
        {
            // After a failed sync nothing is known of what follows in that file.
            lock (_lock)
                _active = null;
            // One without a record is of no use, and on a full disk there would soon be many.
            if (active.End == active.First)
                Abandon(active);
            throw;
        }

        lock (_lock)
            _bytes += active.End - before;
    }

    private void Abandon(SpoolSegment empty)
    {
        lock (_lock)
        {
            // The reader may have been quicker.
            if (!_segments.Remove(empty))
                return;
            if (_segments.Count == 0)
                _offset = 0;
            _bytes -= empty.First;
        }

        empty.Dispose();
        File.Delete(empty.Path);
    }

    private sealed record Waiting(DateTimeOffset At, ReadOnlyMemory<byte> Payload)
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    [LoggerMessage(4601, LogLevel.Warning, "the spool holds {Records} records ({Bytes} bytes) of an earlier start: they are delivered when the store is reachable")]
    private static partial void LogRecovered(ILogger logger, long records, long bytes);

    [LoggerMessage(4602, LogLevel.Error, "{Path} is damaged and is kept as it is under .damaged: {Reason}")]
    private static partial void LogDamaged(ILogger logger, string path, string reason);

    [LoggerMessage(4603, LogLevel.Error, "the spool cannot be written: {Reason}")]
    private static partial void LogNotWritten(ILogger logger, string reason);
}
