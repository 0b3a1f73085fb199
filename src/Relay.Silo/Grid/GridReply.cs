using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Connections;
using Relay.Protocol.Grid;

namespace Relay.Silo.Grid;

/// <summary>Reads and writes the JSON messages of the grid, bounded in size and time.</summary>
internal static class GridReply
{
    /// <summary>No message of the grid is larger.</summary>
    public const int MaxMessageBytes = 64 * 1024;

    private static readonly TimeSpan BodyDeadline = TimeSpan.FromSeconds(10);

    /// <summary>Reads one message; on failure the refusal has been written and null comes back.</summary>
    public static async Task<T?> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> type, TimeProvider time)
        where T : class
    {
        var body = await ReadBytesAsync(context, MaxMessageBytes, time);
        if (body is null)
            return null;
        try
        {
            if (JsonSerializer.Deserialize(body, type) is { } message)
                return message;
        }
        catch (JsonException)
        {
            // Falls through: null and garbage are the same refusal.
        }

        await RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_message", "the body is not the JSON message this route takes");
        return null;
    }

    /// <summary>Reads the whole body; null when it was too large or too slow, and the refusal has been written.</summary>
    public static async Task<byte[]?> ReadBytesAsync(HttpContext context, int limit, TimeProvider time)
    {
        if (context.Request.ContentLength > limit)
        {
            await RefuseAsync(context, StatusCodes.Status413PayloadTooLarge, "too_large", $"the body is limited to {limit} bytes");
            return null;
        }

        using var deadline = new CancellationTokenSource(BodyDeadline, time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, context.RequestAborted);
        var buffer = new byte[Math.Min(limit, (int)(context.Request.ContentLength ?? 4096)) + 1];
        var length = 0;
        try
        {
            while (true)
            {
                var read = await context.Request.Body.ReadAsync(buffer.AsMemory(length), stop.Token);
                if (read == 0)
                    return buffer.AsSpan(0, length).ToArray();
                length += read;
                if (length > limit)
                {
                    await RefuseAsync(context, StatusCodes.Status413PayloadTooLarge, "too_large", $"the body is limited to {limit} bytes");
                    return null;
                }

                if (length == buffer.Length)
                    Array.Resize(ref buffer, Math.Min(buffer.Length * 2, limit + 1));
            }
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            await RefuseAsync(context, StatusCodes.Status408RequestTimeout, "too_slow", "the body did not arrive in time");
            return null;
        }
    }

    /// <summary>Answers 200 with a message.</summary>
    public static Task WriteAsync<T>(HttpContext context, T message, JsonTypeInfo<T> type)
    {
        context.Response.ContentType = "application/json";
        return context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(message, type), context.RequestAborted).AsTask();
    }

    /// <summary>Answers with the grid's error shape; does nothing when an answer has begun.</summary>
    public static async Task RefuseAsync(HttpContext context, int status, string code, string message)
    {
        if (context.Response.HasStarted)
            return;
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        var error = new GridError(message, status, code, context.TraceIdentifier);
        try
        {
            await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(error, GridJson.Default.GridError), context.RequestAborted);
        }
        catch (Exception e) when (e is OperationCanceledException or ConnectionAbortedException or IOException)
        {
            // Nobody is there to be told.
        }
    }
}
