using System.Globalization;
using System.Net;
using System.Text;

namespace Relay.Gateway.Devices;

/// <summary>
/// Why a flow is refused, to a client that speaks HTTP/1 in the clear (RFC 9112). Others are told by the reset alone: TLS would need a
/// certificate for the target's name, and protocols in which the server speaks first have no place for it.
/// </summary>
internal static class RefusalPage
{
    private static readonly string[] s_methods = ["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE "];

    /// <summary>Empty: what it said is no HTTP request.</summary>
    /// <param name="said">The first bytes of the connection.</param>
    /// <param name="status">511 (RFC 6585 §6) when the user has to log in again.</param>
    /// <param name="why">Plain text, in lines.</param>
    public static ReadOnlyMemory<byte> Answer(ReadOnlySpan<byte> said, HttpStatusCode status, string why)
    {
        var start = Encoding.Latin1.GetString(said[..Math.Min(said.Length, 8)]);
        if (Array.Find(s_methods, m => start.StartsWith(m, StringComparison.Ordinal)) is not { } method)
        {
            return default;
        }

        var body = Encoding.UTF8.GetBytes(why.TrimEnd() + "\n");
        // Plain text: nothing in it can become markup, and nosniff keeps a browser from trying. Nobody may keep it: the next try may succeed.
        var head = string.Create(
            CultureInfo.InvariantCulture,
            $"HTTP/1.1 {(int)status} {Phrase(status)}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {body.Length}\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n");
        return method == "HEAD " ? Encoding.ASCII.GetBytes(head) : (byte[])[.. Encoding.ASCII.GetBytes(head), .. body];
    }

    private static string Phrase(HttpStatusCode status) => status switch
    {
        HttpStatusCode.NetworkAuthenticationRequired => "Network Authentication Required",
        HttpStatusCode.ServiceUnavailable => "Service Unavailable",
        HttpStatusCode.BadGateway => "Bad Gateway",
        _ => "Forbidden",
    };
}
