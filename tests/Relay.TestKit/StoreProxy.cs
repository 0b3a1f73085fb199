using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Relay.TestKit;

/// <summary>
/// Stands between a silo and its PostgreSQL: forwards, refuses, or swallows everything without a word. What was swallowed arrives late
/// when it forwards again, as packets do. Caller disposes.
/// </summary>
public sealed class StoreProxy : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly EndPoint _target;
    private readonly NpgsqlConnectionStringBuilder _settings;
    private readonly ConcurrentDictionary<Socket, Socket> _pairs = new();
    private readonly Lock _lock = new();
    private TaskCompletionSource _open = Opened();
    private bool _refusing;
    private int _accepted;

    /// <param name="connectionString">Of the database itself.</param>
    public StoreProxy(string connectionString)
    {
        _settings = new NpgsqlConnectionStringBuilder(connectionString);
        _target = _settings.Host!.StartsWith('/')
            ? new UnixDomainSocketEndPoint($"{_settings.Host}/.s.PGSQL.{_settings.Port}")
            : new DnsEndPoint(_settings.Host, _settings.Port);
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(512);
        var port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
        (_settings.Host, _settings.Port) = ("127.0.0.1", port);
        _ = AcceptAsync();
    }

    /// <summary>Of the database through this proxy.</summary>
    public string ConnectionString => _settings.ConnectionString;

    /// <summary>How many connections have come so far.</summary>
    public int Accepted => Volatile.Read(ref _accepted);

    /// <summary>As if PostgreSQL were stopped: what is connected is reset, what connects is turned away.</summary>
    public void Refuse()
    {
        lock (_lock)
            _refusing = true;
        foreach (var (client, server) in _pairs)
        {
            client.Close(0);
            server.Close(0);
        }
    }

    /// <summary>As if a cable were cut: nothing is answered and nothing is reset.</summary>
    public void Swallow()
    {
        lock (_lock)
            _open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>As it was.</summary>
    public void Forward()
    {
        lock (_lock)
        {
            _refusing = false;
            _open.TrySetResult();
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        Refuse();
        lock (_lock)
            _open.TrySetResult();
    }

    private static TaskCompletionSource Opened()
    {
        var open = new TaskCompletionSource();
        open.SetResult();
        return open;
    }

    private Task OpenAsync()
    {
        lock (_lock)
            return _open.Task;
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptAsync();
                Interlocked.Increment(ref _accepted);
                bool refusing;
                lock (_lock)
                    refusing = _refusing;
                if (refusing)
                    client.Close(0);
                else
                    _ = ServeAsync(client);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private async Task ServeAsync(Socket client)
    {
        var server = _target is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await OpenAsync();
            await server.ConnectAsync(_target);
            lock (_lock)
            {
                // A refusal that came meanwhile has not seen this pair.
                if (_refusing)
                {
                    client.Close(0);
                    return;
                }

                _pairs[client] = server;
            }

            await Task.WhenAny(CopyAsync(client, server), CopyAsync(server, client));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Either end is gone.
        }
        finally
        {
            _pairs.TryRemove(client, out _);
            client.Dispose();
            server.Dispose();
        }
    }

    private async Task CopyAsync(Socket from, Socket to)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            int read;
            while ((read = await from.ReceiveAsync(buffer)) > 0)
            {
                await OpenAsync();
                for (var sent = 0; sent < read;)
                    sent += await to.SendAsync(buffer.AsMemory(sent, read - sent));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Either end is gone.
        }
    }
}
