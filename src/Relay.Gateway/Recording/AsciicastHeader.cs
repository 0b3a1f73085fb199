namespace Relay.Gateway.Recording;

/// <summary>First line of an asciicast v2 recording.</summary>
/// <param name="Width">Columns; 80 when the channel has no terminal.</param>
/// <param name="Height">Rows; 24 when the channel has no terminal.</param>
/// <param name="StartedAt">Wall clock at offset zero; whole seconds are written.</param>
/// <param name="Title">"user@socket", for people.</param>
/// <param name="Command">The exec command; null for a shell.</param>
/// <param name="Term">The terminal type the client asked for; null without a terminal.</param>
internal sealed record AsciicastHeader(int Width, int Height, DateTimeOffset StartedAt, string Title, string? Command, string? Term);
